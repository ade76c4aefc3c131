// A linear layer over rows of a sparse matrix (CSR): what it reads and adds follows the numbers
// that are stored. The three ops are linear in values, weight and gradient, so that the derivatives
// of each are the other two. It is no family of sparse tensors: results and gradients are dense.
#include <algorithm>
#include <vector>

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/indices.h"
#include "ops/matmul.h"

namespace ranvier {
namespace {

// ---- the rows of a matrix that an op goes through

// Places of the inputs in the three ops; the matrix comes first in all of them.
enum : size_t { kStarts = 0, kColumns = 1 };

// A row of the batch: so many numbers from `first` on.
struct Line {
  int64_t first, size;
};

int64_t integer_at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::int32 ? t.data<int32_t>()[i] : t.data<int64_t>()[i];
}

// Row-major, as int32 where they are that, else as int64.
Tensor plain_integers(const Tensor& t) {
  return t.dtype() == DType::int32 ? packed(t) : converted(t, DType::int64);
}

// The lines of a batch, each inside of the matrix, whose columns are all below `width`.
class Lines {
 public:
  Lines(const ForwardArgs& args, const Tensor& rows, int64_t width)
      : Lines(args, rows, width, args.in[kColumns]) {}
  Lines(const ForwardArgs& args, const Tensor& rows, int64_t width, const Tensor& columns)
      : columns_(plain_integers(columns)) {
    const Tensor starts = plain_integers(args.in[kStarts]);
    const Tensor numbers = positions(args, rows, 0, starts.numel() - 1);
    lines_.reserve(static_cast<size_t>(numbers.numel()));
    for (int64_t i = 0; i < numbers.numel(); ++i) add(args, starts, numbers.data<int64_t>()[i]);
    for (const Line& line : lines_) check(args, line, width);
  }
  int64_t count() const { return static_cast<int64_t>(lines_.size()); }
  int64_t total() const { return total_; }
  Line operator[](int64_t i) const { return lines_[static_cast<size_t>(i)]; }
  int64_t column(int64_t at) const { return integer_at(columns_, at); }

 private:
  void add(const ForwardArgs& args, const Tensor& starts, int64_t row) {
    const int64_t first = integer_at(starts, row), last = integer_at(starts, row + 1);
    if (first < 0 || last < first || last > columns_.numel())
      fail(ErrorKind::index, "[", args.op().name, "] indptr: expected rows between 0 and ",
           columns_.numel(), ", each ending where it begins or later, got ", first, " to ", last,
           " for row ", row);
    lines_.push_back({first, last - first});
    total_ += last - first;
  }
  void check(const ForwardArgs& args, Line line, int64_t width) const {
    for (int64_t at = line.first; at < line.first + line.size; ++at)
      if (column(at) < 0 || column(at) >= width)
        fail(ErrorKind::index, "[", args.op().name, "] indices: expected columns from 0 to ",
             width - 1, ", got ", column(at), " at place ", at);
  }

  Tensor columns_;
  std::vector<Line> lines_;
  int64_t total_ = 0;
};

// The numbers of a row to come are far from those at hand: memory is asked for them early.
constexpr int64_t kAhead = 4;
template <class T>
void ask_for(const T* p, int64_t n) {
  for (int64_t at = 0; at < n; at += 64 / static_cast<int64_t>(sizeof(T)))
    __builtin_prefetch(p + at);
}

// A weight (out, in) as it is stored best: (in, out).
Tensor by_columns(const Tensor& w) {
  return packed(
      w.alias({w.shape()[1], w.shape()[0]}, {w.strides()[1], w.strides()[0]}, w.impl()->offset));
}

// out += x row, of n numbers.
template <class T>
void add_scaled(const T* x, const T* row, T* out, int64_t n, bool accumulate = true) {
  kernels<T>().gemm_row[1]({n, x, 0, row, 0, out, accumulate});
}

// ---- shapes

void expect_csr(const InferArgs& args, size_t rows) {
  expect_integers(args, kStarts);
  expect_integers(args, kColumns);
  expect_integers(args, rows);
  const Dims &starts = args.in[kStarts].shape, &columns = args.in[kColumns].shape;
  if (starts.size() != 1 || starts[0] < 1 || columns.size() != 1 || args.in[rows].shape.size() != 1)
    args.mismatch("indptr (rows of the matrix + 1,), indices (numbers stored,) and rows (batch,)");
}

void expect_values(const InferArgs& args) {
  if (!(args.in[2].shape == args.in[kColumns].shape)) args.mismatch("a value for each index");
}

// Those that are computed with must have one floating type.
DType common_type(const InferArgs& args, std::initializer_list<size_t> places) {
  const size_t first = *places.begin();
  const DType dtype = args.in[first].dtype;
  for (const size_t i : places) {
    const bool given = args.given_inputs[i];
    if (given && (!is_floating(args.in[i].dtype) || args.in[i].dtype != dtype))
      fail(ErrorKind::type, "[", args.op().name, "] expected one floating dtype, got ",
           name_of(dtype), " for '", args.op().input_name(first), "' and ",
           name_of(args.in[i].dtype), " for '", args.op().input_name(i),
           "'; call .float() or .double() on one");
  }
  return dtype;
}

// Inputs: indptr, indices, values, rows, weight, bias?
Metas infer_sparse_linear(const InferArgs& args) {
  expect_csr(args, 3);
  expect_values(args);
  const Dims& w = args.in[4].shape;
  if (w.size() != 2) args.mismatch("a weight (out_features, in_features)");
  if (args.given_inputs[5] && args.in[5].shape != Dims{w[0]})
    args.mismatch("a bias (out_features,)");
  return {{{args.in[3].shape[0], w[0]}, common_type(args, {2, 4, 5})}};
}

// Inputs: indptr, indices, values, rows, grad
Metas infer_weight_grad(const InferArgs& args) {
  expect_csr(args, 3);
  expect_values(args);
  const Dims& g = args.in[4].shape;
  if (g.size() != 2 || g[0] != args.in[3].shape[0])
    args.mismatch("a gradient (batch, out_features)");
  if (args.integer(0) < 0)
    fail(ErrorKind::value, "[", args.op().name, "] in_features: expected 0 or more, got ",
         args.integer(0));
  return {{{args.integer(0), g[1]}, common_type(args, {2, 4})}};
}

// Inputs: weight, then as above
Metas infer_weight_grad_onto(const InferArgs& args) {
  const Dims &w = args.in[5].shape, &g = args.in[4].shape;
  expect_csr(args, 3);
  expect_values(args);
  if (w.size() != 2 || g.size() != 2 || g[0] != args.in[3].shape[0] || g[1] != w[1])
    args.mismatch("a gradient (batch, out_features) and a weight (in_features, out_features)");
  common_type(args, {2, 4, 5});
  return {};
}

// Inputs: indptr, indices, rows, weight, grad
Metas infer_values_grad(const InferArgs& args) {
  expect_csr(args, 2);
  const Dims &w = args.in[3].shape, &g = args.in[4].shape;
  if (w.size() != 2 || g.size() != 2 || g[0] != args.in[2].shape[0] || g[1] != w[0])
    args.mismatch("a weight (out_features, in_features) and a gradient (batch, out_features)");
  return {{args.in[kColumns].shape, common_type(args, {3, 4})}};
}

// ---- kernels

// A row is one chain over its numbers in their order, then the bias: the bits of the dense product,
// where indices go up and none comes twice.
template <class T>
void products(const Lines& lines, const T* values, const T* weight, const T* bias, int64_t n,
              T* y) {
  const int64_t each = lines.count() ? lines.total() / lines.count() + 1 : 1;
  parallel_items(lines.count(), each * n, kGrainCopied, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* const row = y + r * n;
      const Line line = lines[r];
      if (line.size == 0) std::fill_n(row, n, T(0));
      for (int64_t i = 0; i < line.size; ++i) {
        const int64_t at = line.first + i;
        if (i + kAhead < line.size) ask_for(weight + lines.column(at + kAhead) * n, n);
        add_scaled(values + at, weight + lines.column(at) * n, row, n, i > 0);
      }
    }
    if (bias) kernels<T>().add_bias(end - begin, n, y + begin * n, n, bias);
  });
}

void sparse_linear_forward(const ForwardArgs& args) {
  const Tensor weight = by_columns(args.in[4]), values = packed(args.in[2]);
  const Tensor bias = args.in[5].defined() ? packed(args.in[5]) : Tensor();
  const Lines lines(args, args.in[3], weight.shape()[0]);
  const int64_t n = weight.shape()[1];
  if (n == 0) return;
  visit_floating(weight.dtype(), [&]<class T>(Tag<T>) {
    products<T>(lines, values.data<T>(), weight.data<T>(),
                bias.defined() ? bias.data<T>() : nullptr, n, args.out[0].data<T>());
  });
}

constexpr int64_t kPart = 64;  // columns of the result that a thread has of all rows

// weight (in, out) += x^T g: every element is one chain over the rows.
template <class T>
void add_products(const Lines& lines, const T* values, const T* g, int64_t n, T* weight) {
  const int64_t parts = (n + kPart - 1) / kPart;
  parallel_items(parts, lines.total() * kPart, kGrainCopied, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kPart, width = std::min(n, end * kPart) - first;
    for (int64_t r = 0; r < lines.count(); ++r) {
      const Line line = lines[r];
      for (int64_t i = 0; i < line.size; ++i) {
        const int64_t at = line.first + i;
        if (i + kAhead < line.size) ask_for(weight + lines.column(at + kAhead) * n + first, width);
        add_scaled(values + at, g + r * n + first, weight + lines.column(at) * n + first, width);
      }
    }
  });
}

void weight_grad_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const Tensor values = packed(args.in[2]), g = packed(args.in[4]);
  const Lines lines(args, args.in[3], out.shape()[0]);
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    T* const weight = out.data<T>();
    parallel_items(out.numel(), 1, kGrainCopied, [&](int64_t begin, int64_t end) {
      std::fill(weight + begin, weight + end, T(0));
    });
    add_products<T>(lines, values.data<T>(), g.data<T>(), out.shape()[1], weight);
  });
}

void weight_grad_onto_forward(const ForwardArgs& args) {
  const Tensor& weight = args.in[5];
  const Tensor w = converted(weight, weight.dtype());
  const Tensor values = packed_apart(args.in[2], w), g = packed_apart(args.in[4], w);
  const Lines lines(args, args.in[3], weight.shape()[0], apart(args.in[kColumns], w));
  visit_floating(weight.dtype(), [&]<class T>(Tag<T>) {
    add_products<T>(lines, values.data<T>(), g.data<T>(), weight.shape()[1], w.data<T>());
  });
  if (!w.same(weight)) copy(weight, w);
}

// A row may be in the batch more than once: what is stored gets the sum, in the order of the rows.
void values_grad_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const Tensor weight = by_columns(args.in[3]), g = packed(args.in[4]);
  const Lines lines(args, args.in[2], weight.shape()[0]);
  const int64_t n = weight.shape()[1];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    T* const values = out.data<T>();
    std::fill_n(values, out.numel(), T(0));
    if (n == 0) return;
    for (int64_t r = 0; r < lines.count(); ++r)
      for (int64_t at = lines[r].first; at < lines[r].first + lines[r].size; ++at)
        kernels<T>().gemm_columns({1, n, g.data<T>() + r * n, 1,
                                   weight.data<T>() + lines.column(at) * n, n, values + at, true});
  });
}

// ---- derivatives

const Op linear_op("sparse_linear"), weight_op("sparse_linear_weight_grad"),
    onto_op("sparse_linear_weight_grad_onto_"), values_op("sparse_linear_values_grad");

Tensors sparse_linear_backward(const BackwardArgs& args) {
  const Tensor& g = args.grad[0];
  const Tensor &starts = args.in[0], &columns = args.in[1], &values = args.in[2];
  const Tensor& rows = args.in[3];
  Tensors grads(6);
  if (args.needs[2]) grads[2] = values_op({starts, columns, rows, args.in[4], g});
  if (args.needs[4]) {
    const Tensor held = args.held_by(4);
    if (held.defined() && held.dtype() == g.dtype()) {
      onto_op({starts, columns, values, rows, g, swapped(held)});
      grads[4] = held;
    } else {
      grads[4] = swapped(weight_op({starts, columns, values, rows, g}, {args.in_meta[4].shape[1]}));
    }
  }
  if (args.needs[5]) grads[5] = reduce_to(g, args.in_meta[5].shape, args.held_by(5));
  return grads;
}

// Of weight (in, out), whose gradient is h.
Tensors weight_grad_backward(const BackwardArgs& args) {
  const Tensor& h = args.grad[0];
  const Tensor &starts = args.in[0], &columns = args.in[1], &rows = args.in[3];
  Tensors grads(5);
  if (args.needs[2]) grads[2] = values_op({starts, columns, rows, swapped(h), args.in[4]});
  if (args.needs[4])
    grads[4] = linear_op({starts, columns, args.in[2], rows, swapped(h), Tensor()});
  return grads;
}

// Of values, whose gradient is h.
Tensors values_grad_backward(const BackwardArgs& args) {
  const Tensor& h = args.grad[0];
  const Tensor &starts = args.in[0], &columns = args.in[1], &rows = args.in[2];
  Tensors grads(5);
  if (args.needs[3])
    grads[3] =
        swapped(weight_op({starts, columns, h, rows, args.in[4]}, {args.in_meta[3].shape[1]}));
  if (args.needs[4]) grads[4] = linear_op({starts, columns, h, rows, args.in[3], Tensor()});
  return grads;
}

// Twice as many multiplications and additions as the batch has numbers, were all rows alike.
Cost sparse_cost(const Metas& in, const Metas& out, const AttrReader& args) {
  const bool values = args.op().name == values_op.def().name;
  const Meta &rows = in[values ? 2 : 3], &last = in[4];
  const double stored = double(count(in[kColumns].shape));
  const double lines = std::max(1.0, double(count(in[kStarts].shape)) - 1);
  const double used = stored * double(count(rows.shape)) / lines;
  const double width = last.shape.empty() ? 1 : double(last.shape[0]);
  const double n = args.op().name == linear_op.def().name || last.shape.size() < 2
                       ? width
                       : double(last.shape[1]);
  Cost cost;
  cost.flops = 2 * used * n;
  cost.bytes = used * (n + 2) * double(size_of(last.dtype));
  for (const Meta& m : out) cost.bytes += double(count(m.shape)) * double(size_of(m.dtype));
  return cost;
}

void declare_gradients(Registry& r) {
  r.add(
      {.name = "sparse_linear_weight_grad",
       .doc = "Gradient of the weight of a linear layer over sparse rows, as (in, out): zeros, and "
              "sums for those columns that occur.",
       .inputs = {"indptr", "indices", "values", "rows", "grad"},
       .attrs = {{.name = "in_features", .kind = AttrKind::integer, .value = {}, .required = true}},
       .infer = infer_weight_grad,
       .forward = weight_grad_forward,
       .backward = weight_grad_backward,
       .saves = {"indptr", "indices", "values", "rows", "grad"},
       .cost = sparse_cost,
       .formula = {"x[rows].T @ g", R"(x_{t}^T g)", {}},
       .gradient_of = "sparse_linear"});
  r.add({.name = "sparse_linear_weight_grad_onto_",
         .doc =
             "The same added to a gradient that is there, in place; every element goes on as one "
             "chain.",
         .inputs = {"indptr", "indices", "values", "rows", "grad", "weight"},
         .outputs = {},
         .infer = infer_weight_grad_onto,
         .forward = weight_grad_onto_forward,
         .mutates = {"weight"},
         .differentiable = false,
         .cost = sparse_cost,
         .formula = {"w = w + x[rows].T @ g", R"(w \leftarrow w + x_{t}^T g)", {}},
         .gradient_of = "sparse_linear"});
  r.add({.name = "sparse_linear_values_grad",
         .doc =
             "Gradient of the numbers that a sparse matrix stores, from a linear layer over some "
             "of its rows.",
         .inputs = {"indptr", "indices", "rows", "weight", "grad"},
         .infer = infer_values_grad,
         .forward = values_grad_forward,
         .backward = values_grad_backward,
         .saves = {"indptr", "indices", "rows", "weight", "grad"},
         .cost = sparse_cost,
         .formula = {"(g @ W) where x is stored", R"((g W)_{ij})", {}},
         .gradient_of = "sparse_linear"});
}

}  // namespace

void declare_sparse(Registry& r) {
  r.add({.name = "sparse_linear",
         .doc =
             "Fully connected layer over some rows of a sparse matrix in CSR form: row i stores "
             "values[indptr[i]:indptr[i + 1]] in the columns that indices has there, and what is "
             "stored twice counts twice. Weight (out, in), bias (out); a result and a gradient "
             "of the weight take as long as the rows have numbers.",
         .inputs = {"indptr", "indices", "values", "rows", "weight", "bias?"},
         .infer = infer_sparse_linear,
         .forward = sparse_linear_forward,
         .backward = sparse_linear_backward,
         .saves = {"indptr", "indices", "values for weight", "rows", "weight for values"},
         .continues = true,
         .cost = sparse_cost,
         .formula = {"x[rows] @ W.T + b",
                     R"(x_{t} W^T + b)",
                     {{"x", "(g @ W) where x is stored", "(g W)_{ij}"},
                      {"W", "g.T @ x[rows]", "g^T x_{t}"},
                      {"b", "sum over rows of g", R"(\sum_r g_r)"}}},
         .example = "rv.sparse_linear(rv.tensor([0, 1, 3]), rv.tensor([2, 0, 1]), rv.ones(3), "
                    "rv.tensor([1, 0]), rv.ones(4, 3), rv.zeros(4))"});
  declare_gradients(r);
}

}  // namespace ranvier
