// Sums, means and searches along axes. Floating sums run in blocks of kSumBlock elements (or
// kSumRows rows), and block sums are added in a fixed tree: the order depends on sizes alone.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

// Neighbours are added until one value (of `width` numbers) is left at the front.
template <class T>
void add_tree(T* values, int64_t n, int64_t width) {
  for (; n > 1; n = (n + 1) / 2) {
    for (int64_t i = 0; i < n / 2; ++i)
      for (int64_t j = 0; j < width; ++j)
        values[i * width + j] = values[2 * i * width + j] + values[(2 * i + 1) * width + j];
    if (n % 2) std::copy_n(values + (n - 1) * width, width, values + n / 2 * width);
  }
}

// x (outer, n, inner) -> y (outer, inner)
template <class T>
void sum_split(const T* x, const AxisSplit& s, T* y) {
  const Kernels<T>& kernel = kernels<T>();
  const int64_t block = s.inner == 1 ? kSumBlock : kSumRows;
  const int64_t blocks = std::max<int64_t>((s.size + block - 1) / block, 1);
  const Scratch memory(static_cast<size_t>(s.outer * blocks * s.inner) * sizeof(T));
  T* const partial = reinterpret_cast<T*>(memory.get());
  const int64_t work = std::min(s.size, block) * s.inner;
  parallel_items(s.outer * blocks, work, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o = unit / blocks, first = unit % blocks * block;
      const int64_t n = std::min(s.size - first, block);
      const T* from = x + (o * s.size + first) * s.inner;
      if (s.inner == 1)
        partial[unit] = kernel.sum(n, from);
      else
        kernel.sum_rows(n, s.inner, from, s.inner, partial + unit * s.inner);
    }
  });
  for (int64_t o = 0; o < s.outer; ++o) {
    T* const mine = partial + o * blocks * s.inner;
    add_tree(mine, blocks, s.inner);
    std::copy_n(mine, s.inner, y + o * s.inner);
  }
}

void integer_sum(const Tensor& x, const AxisSplit& s, int64_t* y) {
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* from = x.data<T>();
    std::fill_n(y, s.outer * s.inner, 0);
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t r = 0; r < s.size; ++r)
        for (int64_t i = 0; i < s.inner; ++i) {
          // Unsigned, so that an overflow wraps around instead of being undefined.
          const auto add = static_cast<uint64_t>(from[(o * s.size + r) * s.inner + i]);
          int64_t& to = y[o * s.inner + i];
          to = static_cast<int64_t>(static_cast<uint64_t>(to) + add);
        }
  });
}

// Which axes to reduce, ascending and once each; all of them for None.
std::vector<int> axes_of(const AttrReader& args, int dim) {
  std::vector<bool> chosen(static_cast<size_t>(std::max(dim, 1)), !args.given(0));
  if (args.given(0)) {
    for (const int64_t axis : args.integers(0)) {
      const int i = normal_axis(args.op().name.c_str(), axis, dim);
      if (chosen[i])
        fail(ErrorKind::value, "[", args.op().name, "] expected every axis once, got ", axis,
             " again");
      chosen[i] = true;
    }
    if (args.integers(0).empty()) chosen.assign(chosen.size(), true);
  }
  std::vector<int> axes;
  for (int i = 0; i < dim; ++i)
    if (chosen[i]) axes.push_back(i);
  return axes;
}

Dims reduced(const Dims& shape, const std::vector<int>& axes, bool keep) {
  Dims out;
  for (int i = 0; i < shape.size(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), i))
      out.push_back(shape[i]);
    else if (keep)
      out.push_back(1);
  }
  return out;
}

// The axes to reduce brought together (at the end unless they already are neighbours), packed.
Tensor gathered(const Tensor& x, const std::vector<int>& axes, AxisSplit* split) {
  split->outer = split->size = split->inner = 1;
  const bool neighbours =
      axes.empty() || axes.back() - axes.front() + 1 == static_cast<int>(axes.size());
  Dims shape, strides;
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < x.dim(); ++i) {
      const bool in = std::binary_search(axes.begin(), axes.end(), i);
      if (neighbours ? pass == 1 : in != (pass == 1)) continue;
      shape.push_back(x.shape()[i]);
      strides.push_back(x.strides()[i]);
      const bool after = neighbours && !axes.empty() && i > axes.back();
      (in ? split->size : after ? split->inner : split->outer) *= x.shape()[i];
    }
  return packed(x.alias(shape, strides, x.impl()->offset));
}

void sum_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  AxisSplit split({}, 0);
  const Tensor from = gathered(x, axes_of(args, x.dim()), &split);
  if (!is_floating(x.dtype())) return integer_sum(from, split, args.out[0].data<int64_t>());
  visit_floating(x.dtype(),
                 [&]<class T>(Tag<T>) { sum_split(from.data<T>(), split, args.out[0].data<T>()); });
}

Metas infer_sum(const InferArgs& args) {
  const Meta& x = args.in[0];
  return {{reduced(x.shape, axes_of(args, x.shape.size()), args.flag(1)),
           is_floating(x.dtype) ? x.dtype : DType::int64}};
}

// The gradient of a sum, spread over the input's shape without copying.
Tensor spread(const BackwardArgs& args, const Tensor& grad) {
  static const Op reshape("reshape"), expand("expand");
  const Dims& shape = args.in_meta[0].shape;
  const Dims kept = reduced(shape, axes_of(args, shape.size()), true);
  const Tensor g = reshape({grad}, {std::vector<int64_t>(kept.begin(), kept.end())});
  return expand({g}, {std::vector<int64_t>(shape.begin(), shape.end())});
}

double reduced_count(const AttrReader& args, const Dims& shape) {
  double n = 1;
  for (const int axis : axes_of(args, shape.size())) n *= static_cast<double>(shape[axis]);
  return n;
}

void mean_forward(const ForwardArgs& args) {
  sum_forward(args);
  const double n = reduced_count(args, args.in[0].shape());
  visit_floating(args.out[0].dtype(), [&]<class T>(Tag<T>) {
    T* y = args.out[0].data<T>();
    for (int64_t i = 0; i < args.out[0].numel(); ++i) y[i] /= static_cast<T>(n);
  });
}

// Index of the first largest element; a NaN is larger than everything, as in NumPy.
void argmax_forward(const ForwardArgs& args) {
  const bool all = !args.given(0);
  const Tensor x = packed(args.in[0]);
  AxisSplit s({x.numel()}, 0);
  if (!all) s = AxisSplit(x.shape(), normal_axis("argmax", args.integer(0), x.dim()));
  int64_t* y = args.out[0].data<int64_t>();
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* from = x.data<T>();
    parallel_items(s.outer * s.inner, s.size, 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const T* row = from + unit / s.inner * s.size * s.inner + unit % s.inner;
        int64_t best = 0;
        for (int64_t r = 1; r < s.size; ++r) {
          const T value = row[r * s.inner], most = row[best * s.inner];
          if (value > most || (value != value && most == most)) best = r;
        }
        y[unit] = best;
      }
    });
  });
}

Metas infer_argmax(const InferArgs& args) {
  const Dims& shape = args.in[0].shape;
  std::vector<int> axes;
  for (int i = 0; i < shape.size(); ++i) axes.push_back(i);
  if (args.given(0) && !shape.empty())
    axes = {normal_axis("argmax", args.integer(0), shape.size())};
  for (const int axis : axes)
    if (shape[axis] == 0)
      fail(ErrorKind::index, "[argmax] expected at least one element along axis ", axis,
           ", got shape ", to_string(shape));
  return {{reduced(shape, axes, args.flag(1)), DType::int64}};
}

void all_finite_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const Tensor from = x.is_dense() ? x : packed(x);
  std::atomic<bool> finite{true};
  if (is_floating(x.dtype()))
    visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
      parallel_items(x.numel(), 1, 1 << 16, [&](int64_t begin, int64_t end) {
        if (!kernels<T>().all_finite(end - begin, from.data<T>() + begin)) finite = false;
      });
    });
  *args.out[0].data<bool>() = finite;
}

// One chain over all rows and not blocks: k small batches then add up to one large batch.
void bias_grad_forward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const int64_t cols = g.shape()[1];
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    parallel_items(cols, g.shape()[0], 1 << 15, [&](int64_t begin, int64_t end) {
      kernels<T>().sum_rows(g.shape()[0], end - begin, g.data<T>() + begin, cols,
                            args.out[0].data<T>() + begin);
    });
  });
}

}  // namespace

void declare_reductions(Registry& r) {
  const std::vector<AttrDef> axes = {
      {.name = "dim", .kind = AttrKind::integers, .value = {}, .optional = true},
      {.name = "keepdim", .kind = AttrKind::flag, .value = false}};
  r.add(
      {.name = "sum",
       .doc = "Sum over the given axes, or over all. Integers and booleans add up to int64.",
       .inputs = {"input"},
       .attrs = axes,
       .infer = infer_sum,
       .forward = sum_forward,
       .backward = [](const BackwardArgs& args) -> Tensors { return {spread(args, args.grad[0])}; },
       .formula = {"sum(x)", R"(\sum_i x_i)", {{"x", "1", "1"}}},
       .example = "rv.sum(rv.ones(2, 3), dim=1)",
       .method = true});
  r.add({.name = "mean",
         .doc = "Mean over the given axes, or over all; NaN over no elements.",
         .inputs = {"input"},
         .attrs = axes,
         .types = Types::floats,
         .infer = infer_sum,
         .forward = mean_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           static const Op div("div");
           const double n = reduced_count(args, args.in_meta[0].shape);
           return {spread(args, div({args.grad[0], scalar(n, args.grad[0].dtype())}))};
         },
         .formula = {"sum(x) / n", R"(\frac1n\sum_i x_i)", {{"x", "1 / n", R"(\frac1n)"}}},
         .example = "rv.mean(rv.tensor([1.0, 2.0, 6.0]))",
         .method = true});
  r.add({.name = "argmax",
         .doc = "Index of the first largest element along an axis, or in the flattened tensor.",
         .inputs = {"input"},
         .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = {}, .optional = true},
                   {.name = "keepdim", .kind = AttrKind::flag, .value = false}},
         .infer = infer_argmax,
         .forward = argmax_forward,
         .differentiable = false,
         .formula = {"argmax(x)", R"(\arg\max_i x_i)", {}},
         .example = "rv.argmax(rv.tensor([1.0, 5.0, 2.0]))",
         .method = true});
  r.add({.name = "all_finite",
         .doc = "Whether no element is NaN or infinite.",
         .inputs = {"input"},
         .infer = [](const InferArgs&) -> Metas { return {{{}, DType::bool_}}; },
         .forward = all_finite_forward,
         .differentiable = false,
         .formula = {"all(isfinite(x))", R"(\forall i: |x_i| < \infty)", {}},
         .example = "rv.all_finite(rv.tensor([1.0, float('inf')]))"});
  r.add({.name = "bias_grad",
         .doc = "Sum over the rows of a matrix, as one chain from the first row to the last.",
         .inputs = {"grad"},
         .types = Types::floats,
         .infer = [](const InferArgs& args) -> Metas {
           if (args.in[0].shape.size() != 2) args.mismatch("a matrix (rows, columns)");
           return {{{args.in[0].shape[1]}, args.in[0].dtype}};
         },
         .forward = bias_grad_forward,
         .differentiable = false,
         .formula = {"sum over rows of g", R"(\sum_r g_{rj})", {}},
         .gradient_of = "linear"});
}

}  // namespace ranvier
