// Matrix products: one gemm call a matrix; integers have a loop of their own.
#include "ops/matmul.h"

#include <algorithm>
#include <type_traits>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/pairs.h"
#include "ops/families.h"
#include "ops/loops.h"

namespace ranvier {

void check_factors(const InferArgs& args) {
  for (size_t i = 0; i < args.in.size(); ++i) {
    if (!args.given_inputs[i]) continue;
    const DType first = args.in[0].dtype, dtype = args.in[i].dtype;
    const std::string& name = args.op().input_name(i);
    if (dtype == DType::bool_)
      fail(ErrorKind::type, "[", args.op().name, "] expected floating numbers or integers for '",
           name, "', got bool; call .float() or .long() on it");
    if (dtype != first)
      fail(ErrorKind::type, "[", args.op().name, "] expected one dtype, got ", name_of(first),
           " for '", args.op().input_name(0), "' and ", name_of(dtype), " for '", name,
           "'; call .float() or .double() on one of them");
  }
}

Tensor swapped(const Tensor& t, int64_t a, int64_t b) {
  static const Op transpose("transpose");
  return transpose({t}, {a, b});
}

Tensor reshaped_to(const Tensor& t, const Dims& shape) {
  static const Op reshape("reshape");
  if (t.shape() == shape) return t;
  return reshape({t}, {std::vector<int64_t>(shape.begin(), shape.end())});
}

// The two axes as one: then the diagonal is every (n + 1)-th element.
Tensor diagonal_of(const Tensor& t, int64_t a, int64_t b) {
  static const Op permute("permute"), slice("slice");
  std::vector<int64_t> order;
  Dims shape;
  for (int i = 0; i < t.dim(); ++i) {
    if (i == a || i == b) continue;
    order.push_back(i);
    shape.push_back(t.shape()[i]);
  }
  order.push_back(a);
  order.push_back(b);
  const int64_t n = t.shape()[static_cast<int>(a)];
  shape.push_back(n * n);
  return slice({reshaped_to(permute({t}, {order}), shape)},
               {int64_t{-1}, int64_t{0}, n * n, n + 1});
}

Tensor multiplied_onto(const Tensor& sum, const Tensor& a, const Tensor& b) {
  static const Op matmul("matmul"), onto("matmul_onto_");
  if (!sum.defined() || sum.dtype() != a.dtype()) return matmul({a, b});
  onto({sum, a, b});
  return sum;
}

Cost matmul_cost(const Metas& in, const Metas& out, const AttrReader&) {
  Cost cost;
  cost.flops = 2.0 * double(count(out[0].shape)) * double(in[0].shape.back());
  for (const Meta& m : {in[0], in[1], out[0]})
    cost.bytes += double(count(m.shape)) * double(size_of(m.dtype));
  return cost;
}

bool in_pairs(const ForwardArgs& args) {
  return args.out[0].dtype() == DType::bfloat16 && has_pair_kernels();
}

const uint16_t* bits_of(const Tensor& t) { return &t.data<BFloat16>()->bits; }

namespace {

// Shapes of a product after vectors have become matrices.
struct Product {
  Dims a, b;   // at least two axes each
  Dims batch;  // broadcast leading axes
  int64_t m, k, n;
  Dims out;
};

Product product_of(const InferArgs& args) {
  Product p;
  p.a = args.in[0].shape;
  p.b = args.in[1].shape;
  if (p.a.empty() || p.b.empty()) args.mismatch("at least one axis each");
  const bool row = p.a.size() == 1, column = p.b.size() == 1;
  if (row) p.a.insert(0, 1);
  if (column) p.b.push_back(1);
  p.m = p.a[p.a.size() - 2];
  p.k = p.a.back();
  p.n = p.b.back();
  if (p.b[p.b.size() - 2] != p.k)
    args.mismatch("the last axis of 'input' to equal the last but one of 'other'");
  const Dims leading_a(p.a.begin(), static_cast<size_t>(p.a.size() - 2));
  const Dims leading_b(p.b.begin(), static_cast<size_t>(p.b.size() - 2));
  p.batch = broadcast(args, leading_a, leading_b);
  p.out = p.batch;
  if (!row) p.out.push_back(p.m);
  if (!column) p.out.push_back(p.n);
  return p;
}

Metas infer_matmul(const InferArgs& args) {
  check_factors(args);
  return {{product_of(args).out, args.in[0].dtype}};
}

// Element offset of matrix `index` of a batch, for a tensor broadcast over `batch`.
int64_t batch_offset(const Tensor& t, const Dims& batch, int64_t index) {
  int64_t offset = 0;
  for (int i = batch.size() - 1; i >= 0; --i) {
    const int axis = i - (batch.size() - (t.dim() - 2));
    if (axis >= 0 && t.shape()[axis] != 1) offset += index % batch[i] * t.strides()[axis];
    index /= batch[i];
  }
  return offset;
}

constexpr int64_t kManyMatrices = 16, kLargeMatrix = 1 << 22;  // multiply-adds

// f(matrix of a, matrix of b, index) for the matrices of a batch, each an offset in elements.
struct Batch {
  const Tensor &a, &b;
  const Product& p;
  bool row, column;
  int64_t at_a(int64_t i) const { return row ? 0 : batch_offset(a, p.batch, i); }
  int64_t at_b(int64_t i) const { return column ? 0 : batch_offset(b, p.batch, i); }
  int64_t a_row() const { return row ? 0 : a.strides()[a.dim() - 2]; }
  int64_t a_k() const { return a.strides().back(); }
  int64_t b_k() const { return column ? b.strides()[0] : b.strides()[b.dim() - 2]; }
  int64_t b_col() const { return column ? 1 : b.strides().back(); }
};

// Makes the rows of all matrices the rows of one, where all meet the same matrix b and lie at one
// distance.
void rows_of_one(const Batch& in, Product* p, int64_t* distance) {
  const Dims &shape = in.a.shape(), &strides = in.a.strides();
  if (in.row || p->batch.empty() || shape.size() != p->batch.size() + 2) return;
  if (!in.column)
    for (int i = 0; i < in.b.dim() - 2; ++i)
      if (in.b.shape()[i] != 1) return;
  int64_t rows = 1, step = *distance;
  for (int i = shape.size() - 2; i >= 0; --i) {
    if (shape[i] == 1) continue;
    if (rows == 1) step = strides[i];
    if (strides[i] != rows * step) return;
    rows *= shape[i];
  }
  *distance = step;
  p->m = rows;
  p->batch = {};
}

template <class T>
T*& result_of(Gemm<T>& g) {
  return g.c;
}
uint16_t*& result_of(PairGemm& g) { return g.rounded; }

// G: the kind of gemm.
template <class G>
G one_of(const Batch& in, Product* p) {
  G g{};
  g.a_row = in.a_row();
  rows_of_one(in, p, &g.a_row);
  g.m = p->m;
  g.n = p->n;
  g.k = p->k;
  g.a_k = in.a_k();
  g.b_k = in.b_k();
  g.b_col = in.b_col();
  g.c_row = p->n;
  return g;
}

// A and C: what its factors and result are.
template <class G, class A, class C>
void float_product(const Batch& in, const A* a, const A* b, C* out) {
  Product p = in.p;
  const G g = one_of<G>(in, &p);
  const int64_t matrices = count(p.batch);
  const auto one = [&](int64_t i) {
    G part = g;
    part.a = a + (matrices == 1 ? 0 : in.at_a(i));
    part.b = b + (matrices == 1 ? 0 : in.at_b(i));
    result_of(part) = out + i * p.m * p.n;
    gemm(part);
  };
  // Many matrices share the threads out among themselves; a single one, or each of a few large
  // ones, does inside.
  const int64_t work = p.m * p.n * p.k;
  if (matrices < kManyMatrices && work >= kLargeMatrix) {
    for (int64_t i = 0; i < matrices; ++i) one(i);
    return;
  }
  if (matrices == 1) return one(0);
  parallel_items(matrices, work, 1 << 18, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) one(i);
  });
}

// Modulo 2^bits, as the integers of NumPy and PyTorch; whatever the order, the sum is the same.
template <class T>
void integer_product(const Batch& in, T* out) {
  using Wrapping = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  const Product& p = in.p;
  const int64_t a_k = in.a_k(), b_k = in.b_k(), b_col = in.b_col();
  parallel_items(count(p.batch) * p.m, p.n * p.k, 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* a = in.a.data<T>() + in.at_a(r / p.m) + r % p.m * in.a_row();
      const T* b = in.b.data<T>() + in.at_b(r / p.m);
      T* const c = out + r * p.n;
      std::fill_n(c, p.n, T(0));
      for (int64_t k = 0; k < p.k; ++k) {
        const auto x = static_cast<Wrapping>(a[k * a_k]);
        const T* const y = b + k * b_k;
        if (b_col == 1) {  // a loop of its own, which the compiler can turn into vectors
          for (int64_t j = 0; j < p.n; ++j)
            c[j] = static_cast<T>(static_cast<Wrapping>(c[j]) + x * static_cast<Wrapping>(y[j]));
        } else {
          for (int64_t j = 0; j < p.n; ++j)
            c[j] = static_cast<T>(static_cast<Wrapping>(c[j]) +
                                  x * static_cast<Wrapping>(y[j * b_col]));
        }
      }
    }
  });
}

void matmul_forward(const ForwardArgs& args) {
  const Tensor &a = args.in[0], &b = args.in[1], &out = args.out[0];
  const Metas metas = {meta_of(a), meta_of(b)};
  const Product p = product_of(InferArgs(args.op(), args.all(), metas, {true, true}));
  if (out.numel() == 0) return;
  const Batch in{a, b, p, a.dim() == 1, b.dim() == 1};
  if (out.dtype() == DType::bfloat16) {
    float_product<PairGemm>(in, bits_of(a), bits_of(b), &out.data<BFloat16>()->bits);
    return;
  }
  visit(out.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (std::is_floating_point_v<T>)
      float_product<Gemm<T>>(in, a.data<T>(), b.data<T>(), out.data<T>());
    else if constexpr (!std::is_same_v<T, bool>)
      integer_product<T>(in, out.data<T>());
  });
}

Prepared matmul_prepare(const ForwardArgs& args) {
  const Tensor &a = args.in[0], &b = args.in[1], &out = args.out[0];
  if (!is_floating(out.dtype()) || is_half(out.dtype()) || out.numel() == 0) return {};
  const Metas metas = {meta_of(a), meta_of(b)};
  const Product p = product_of(InferArgs(args.op(), args.all(), metas, {true, true}));
  const Batch in{a, b, p, a.dim() == 1, b.dim() == 1};
  Prepared call;
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    Product one = p;
    Gemm<T> g = one_of<Gemm<T>>(in, &one);
    if (count(one.batch) != 1) return;
    g.a = a.data<T>();
    g.b = b.data<T>();
    g.c = out.data<T>();
    call = prepared_gemm(g);
  });
  return call;
}

Tensors matmul_backward(const BackwardArgs& args) {
  static const Op unsqueeze("unsqueeze");
  const Dims &shape_a = args.in_meta[0].shape, &shape_b = args.in_meta[1].shape;
  Tensor a = args.in[0], b = args.in[1], g = args.grad[0];
  if (shape_a.size() == 1) {
    if (a.defined()) a = unsqueeze({a}, {int64_t{0}});
    g = unsqueeze({g}, {int64_t{shape_b.size() == 1 ? -1 : -2}});
  }
  if (shape_b.size() == 1) {
    if (b.defined()) b = unsqueeze({b}, {int64_t{1}});
    g = unsqueeze({g}, {int64_t{-1}});
  }
  const auto back_to = [&](const Tensor& grad, const Dims& matrix, const Dims& shape) {
    return reshaped_to(reduce_to(grad, matrix), shape);
  };
  Tensors grads(2);
  // A gradient that is there is gone on from: see multiplied_onto.
  const bool matrices = shape_a.size() == 2 && shape_b.size() == 2;
  const Tensor none;
  if (args.needs[0])
    grads[0] = back_to(multiplied_onto(matrices ? args.held_by(0) : none, g, swapped(b)),
                       shape_a.size() == 1 ? Dims{1, shape_a[0]} : shape_a, shape_a);
  if (args.needs[1])
    grads[1] = back_to(multiplied_onto(matrices ? args.held_by(1) : none, swapped(a), g),
                       shape_b.size() == 1 ? Dims{shape_b[0], 1} : shape_b, shape_b);
  return grads;
}

// ---- products that go on from a sum

// Inputs: sum, input, other.
Metas infer_matmul_onto(const InferArgs& args) {
  check_factors(args);
  const Dims &sum = args.in[0].shape, &a = args.in[1].shape, &b = args.in[2].shape;
  if (a.size() != 2 || b.size() != 2 || a[1] != b[0] || !(sum == Dims{a[0], b[1]}))
    args.mismatch("matrices, and a sum of the shape of their product");
  return {};
}

void matmul_onto_forward(const ForwardArgs& args) {
  const Tensor& sum = args.in[0];
  if (sum.numel() == 0) return;
  const Tensor a = apart(args.in[1], sum), b = apart(args.in[2], sum);
  const bool in_place = sum.strides()[1] == 1 || sum.shape()[1] == 1;
  const Tensor c = in_place ? sum : converted(sum, sum.dtype());
  visit_floating(sum.dtype(), [&]<class T>(Tag<T>) {
    Gemm<T> g{};
    g.m = sum.shape()[0];
    g.n = sum.shape()[1];
    g.k = a.shape()[1];
    g.a = a.data<T>();
    g.a_row = a.strides()[0];
    g.a_k = a.strides()[1];
    g.b = b.data<T>();
    g.b_k = b.strides()[0];
    g.b_col = b.strides()[1];
    g.c = c.data<T>();
    g.c_row = c.strides()[0];
    g.accumulate = true;
    if (g.k > 0) gemm(g);
  });
  if (!in_place) copy(sum, c);
}

}  // namespace

void declare_matmul(Registry& r) {
  r.add({.name = "matmul",
         .doc = "Matrix product over the last two axes; leading axes broadcast, vectors count as a "
                "row on the left and a column on the right.",
         .inputs = {"input", "other"},
         .infer = infer_matmul,
         .forward = matmul_forward,
         .takes_half = in_pairs,
         .prepare = matmul_prepare,
         .backward = matmul_backward,
         .saves = {"input for other", "other for input"},
         .continues = true,
         .cost = matmul_cost,
         .formula = {"x @ y", "x\\,y", {{"x", "g @ y.T", "g\\,y^T"}, {"y", "x.T @ g", "x^T g"}}},
         .example = "rv.matmul(rv.ones(2, 3), rv.ones(3, 4))",
         .method = true});
  r.add({.name = "matmul_onto_",
         .doc = "Adds the product of two matrices to a matrix in place; every element goes on as "
                "one chain of multiply-adds.",
         .inputs = {"sum", "input", "other"},
         .types = Types::floats,
         .infer = infer_matmul_onto,
         .forward = matmul_onto_forward,
         .mutates = {"sum"},
         .differentiable = false,
         .formula = {"s = s + x @ y", R"(s \leftarrow s + x\,y)", {}},
         .gradient_of = "linear"});
}

}  // namespace ranvier
