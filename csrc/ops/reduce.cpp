// Sums, means and counts along axes, and what all reductions share. Floating sums run in blocks of
// kSumBlock elements (or kSumRows rows), and block sums are added in a fixed tree: the order
// depends on sizes alone.
#include "ops/reduce.h"

#include <atomic>
#include <cmath>

#include "ops/families.h"

namespace ranvier {

// ---- attributes and shapes

AttrDef axes_attr() {
  return {.name = "dim", .kind = AttrKind::integers, .value = {}, .optional = true};
}
AttrDef axis_attr() {
  return {.name = "dim", .kind = AttrKind::integer, .value = {}, .optional = true};
}
AttrDef keepdim_attr() { return {.name = "keepdim", .kind = AttrKind::flag, .value = false}; }
AttrDef dtype_attr() {
  return {.name = "dtype", .kind = AttrKind::dtype, .value = {}, .optional = true, .keyword = true};
}

std::vector<int> axes_of(const AttrReader& args, int dim, int at) {
  const char* const op = args.op().name.c_str();
  const Attr& attr = args.all()[static_cast<size_t>(at)];
  std::vector<int64_t> named;
  if (const auto* one = std::get_if<int64_t>(&attr))
    named = {*one};
  else if (args.given(at))
    named = args.integers(at);
  std::vector<bool> chosen(static_cast<size_t>(std::max(dim, 1)), named.empty());
  for (const int64_t axis : named) {
    const auto i = static_cast<size_t>(normal_axis(op, axis, dim));
    if (chosen[i])
      fail(ErrorKind::value, "[", op, "] expected every axis once, got ", axis, " again");
    chosen[i] = true;
  }
  std::vector<int> axes;
  for (int i = 0; i < dim; ++i)
    if (chosen[static_cast<size_t>(i)]) axes.push_back(i);
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

int64_t count_along(const Dims& shape, const std::vector<int>& axes) {
  int64_t n = 1;
  for (const int axis : axes) n *= shape[axis];
  return n;
}

void expect_elements(const InferArgs& args, const std::vector<int>& axes, bool named) {
  const Dims& shape = args.in[0].shape;
  for (const int axis : axes) {
    if (shape[axis] != 0) continue;
    if (named)
      fail(ErrorKind::index, "[", args.op().name, "] expected at least one element along axis ",
           axis, ", got shape ", to_string(shape));
    fail(ErrorKind::shape, "[", args.op().name, "] expected at least one element, got shape ",
         to_string(shape), "; name axes of other sizes with dim");
  }
}

namespace {

// The axes to reduce brought together in a view.
Tensor arranged(const Tensor& x, const std::vector<int>& axes, AxisSplit* split, bool at_end) {
  split->outer = split->size = split->inner = 1;
  const bool neighbours =
      axes.empty() || (!at_end && axes.back() - axes.front() + 1 == static_cast<int>(axes.size()));
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
  return x.alias(shape, strides, x.impl()->offset);
}

}  // namespace

Tensor gathered(const Tensor& x, const std::vector<int>& axes, AxisSplit* split, bool at_end) {
  return packed(arranged(x, axes, split, at_end));
}

Standing standing(const Tensor& x, const std::vector<int>& axes) {
  Standing s;
  s.from = arranged(x, axes, &s.split, false);
  if (s.from.is_contiguous()) return s;
  constexpr int64_t kMost = 1 << 18;  // more memory is not kept
  if (x.numel() > kMost) return {};
  const Tensor own = Tensor::empty(s.from.shape(), x.dtype());
  s.bring = prepared_copy(own, s.from);
  s.from = own;
  return s;
}

AxisSplit axis_split(const AttrReader& args, const Tensor& x) {
  if (!args.given(0)) return AxisSplit({x.numel()}, 0);
  return AxisSplit(x.shape(), normal_axis(args.op().name.c_str(), args.integer(0), x.dim()));
}

// ---- ops

Tensor kept(const Tensor& result, const Dims& shape, const std::vector<int>& axes) {
  static const Op reshape("reshape");
  const Dims wanted = reduced(shape, axes, true);
  return result.shape() == wanted ? result : reshape({result}, {list(wanted)});
}

Tensor spread(const Tensor& result, const Dims& shape, const std::vector<int>& axes) {
  static const Op expand("expand");
  const Tensor g = kept(result, shape, axes);
  return g.shape() == shape ? g : expand({g}, {list(shape)});
}

Tensor total(const Tensor& x, const std::vector<int>& axes) {
  static const Op sum("sum");
  return axes.empty() ? x : sum({x}, {list(axes), true});
}

Tensor as(const Tensor& x, DType dtype) {
  static const Op cast("cast");
  return x.dtype() == dtype ? x : cast({x}, {static_cast<int64_t>(dtype)});
}

Tensor safe_divisor(const Tensor& x) {
  static const Op eq("eq");
  return x + as(eq({x, scalar(0, x.dtype())}), x.dtype());
}

namespace {

// ---- sums

struct WholeSum {
  uint64_t sum = 0;  // an overflow wraps around instead of being undefined
  template <class T>
  void take(T value, int64_t) {
    sum += static_cast<uint64_t>(value);
  }
  void join(const WholeSum& later) { sum += later.sum; }
};

struct Count {
  int64_t n = 0;
  template <class T>
  void take(T value, int64_t) {
    n += value != T(0);
  }
  void join(const Count& later) { n += later.n; }
};

// Folds integers to int64, and writes what the op's result holds of it.
template <class State, class Value>
void fold_integers(const Tensor& x, const AxisSplit& split, const Tensor& out, Value value) {
  const Tensor wide = out.dtype() == DType::int64 ? out : Tensor::empty(out.shape(), DType::int64);
  int64_t* const y = wide.data<int64_t>();
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    fold(x.data<T>(), split, State(), [&](int64_t i, const State& s) { y[i] = value(s); });
  });
  if (!wide.same(out)) copy(out, wide);
}

// A packed copy with `instead` in place of NaN.
Tensor without_nan(const Tensor& x, double instead) {
  const Tensor clean = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const T *from = x.data<T>(), other = static_cast<T>(instead);
    T* const to = clean.data<T>();
    parallel_items(x.numel(), 1, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = from[i] == from[i] ? from[i] : other;
    });
  });
  return clean;
}

void whole_sums(const Tensor& x, const AxisSplit& split, const Tensor& out) {
  fold_integers<WholeSum>(x, split, out,
                          [](const WholeSum& s) { return static_cast<int64_t>(s.sum); });
}

template <bool SkipNan>
void sum_forward(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &out = args.out[0];
  AxisSplit split({}, 0);
  const Tensor from = gathered(x, axes_of(args, x.dim()), &split);
  if (!is_floating(x.dtype())) return whole_sums(from, split, out);
  const Tensor clean = SkipNan ? without_nan(from, 0) : from;
  visit_floating(x.dtype(),
                 [&]<class T>(Tag<T>) { sum_split(clean.data<T>(), split, out.data<T>()); });
}

Metas infer_sum(const InferArgs& args) {
  const Meta& x = args.in[0];
  const DType dtype = args.given(2)          ? static_cast<DType>(args.integer(2))
                      : is_floating(x.dtype) ? x.dtype
                                             : DType::int64;
  return {{reduced(x.shape, axes_of(args, x.shape.size()), args.flag(1)), dtype}};
}

Tensor spread_gradient(const BackwardArgs& args) {
  const Dims& shape = args.in_meta[0].shape;
  return spread(args.grad[0], shape, axes_of(args, shape.size()));
}

double reduced_count(const AttrReader& args, const Dims& shape) {
  return static_cast<double>(count_along(shape, axes_of(args, shape.size())));
}

void mean_forward(const ForwardArgs& args) {
  sum_forward<false>(args);
  const double n = reduced_count(args, args.in[0].shape());
  visit_floating(args.out[0].dtype(), [&]<class T>(Tag<T>) {
    T* y = args.out[0].data<T>();
    for (int64_t i = 0; i < args.out[0].numel(); ++i) y[i] /= static_cast<T>(n);
  });
}

template <bool Mean>
Prepared sum_prepare(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &out = args.out[0];
  if (is_half(x.dtype())) return {};
  const Standing s = standing(x, axes_of(args, x.dim()));
  const Tensor from = s.from;
  const AxisSplit split = s.split;
  if (!from.defined()) return {};
  if (!is_floating(x.dtype()))
    return brought(s.bring, [from, split, out] { whole_sums(from, split, out); });
  const double divisor = Mean ? reduced_count(args, x.shape()) : 1;
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const T *const in = from.data<T>(), n = static_cast<T>(divisor);
    T* const y = out.data<T>();
    const bool one = split.outer == 1 && split.inner == 1 && split.size > 0;
    if (one && split.size <= kSumBlock)
      call = [in, y, n, size = split.size, from] { *y = kernels<T>().sum(size, in) / n; };
    else
      call = [in, y, n, split, results = out.numel(), from] {
        sum_split(in, split, y);
        if (Mean)
          for (int64_t i = 0; i < results; ++i) y[i] /= n;
      };
  });
  return brought(s.bring, std::move(call));
}

void count_nonzero_forward(const ForwardArgs& args) {
  AxisSplit split({}, 0);
  const Tensor from = gathered(args.in[0], axes_of(args, args.in[0].dim()), &split);
  fold_integers<Count>(from, split, args.out[0], [](const Count& c) { return c.n; });
}

bool is_finite(const Tensor& x) {
  const Tensor from = x.is_dense() ? x : packed(x);
  std::atomic<bool> finite{true};
  if (is_floating(x.dtype()))
    visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
      parallel_items(x.numel(), 1, kGrainSummed, [&](int64_t begin, int64_t end) {
        if (!kernels<T>().all_finite(end - begin, from.data<T>() + begin)) finite = false;
      });
    });
  return finite;
}

void all_finite_forward(const ForwardArgs& args) {
  *args.out[0].data<bool>() = std::all_of(args.in.begin(), args.in.end(), is_finite);
}

// One chain over all rows and not blocks: k small batches then add up to one large batch.
void bias_grad_forward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const int64_t cols = g.shape()[1];
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    parallel_items(cols, g.shape()[0], kGrainCopied, [&](int64_t begin, int64_t end) {
      kernels<T>().sum_rows(g.shape()[0], end - begin, g.data<T>() + begin, cols,
                            args.out[0].data<T>() + begin);
    });
  });
}

void declare_sums(Registry& r) {
  r.add({.name = "sum",
         .doc = "Sum over the given axes, or over all. Integers and booleans add up to int64.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr(), dtype_attr()},
         .casts = true,
         .infer = infer_sum,
         .forward = sum_forward<false>,
         .prepare = sum_prepare<false>,
         .backward = [](const BackwardArgs& args) -> Tensors { return {spread_gradient(args)}; },
         .formula = {"sum(x)", R"(\sum_i x_i)", {{"x", "1", "1"}}},
         .example = "rv.sum(rv.ones(2, 3), dim=1)",
         .method = true});
  r.add({.name = "nansum",
         .doc = "Sum over the given axes, or over all, with NaN taken as 0.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr(), dtype_attr()},
         .casts = true,
         .infer = infer_sum,
         .forward = sum_forward<true>,
         .backward = [](const BackwardArgs& args) -> Tensors {
           static const Op eq("eq");
           return {spread_gradient(args) * as(eq({args.in[0], args.in[0]}), args.grad[0].dtype())};
         },
         .saves = {"input"},
         .formula = {"sum of x that are not NaN",
                     R"(\sum_{i: x_i = x_i} x_i)",
                     {{"x", "0 at NaN, else 1", "[x_i = x_i]"}}},
         .example = "rv.nansum(rv.tensor([1.0, float('nan'), 2.0]))",
         .method = true});
  r.add({.name = "mean",
         .doc = "Mean over the given axes, or over all; NaN over no elements.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr(), dtype_attr()},
         .types = Types::floats,
         .casts = true,
         .infer = infer_sum,
         .forward = mean_forward,
         .prepare = sum_prepare<true>,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {spread_gradient(args) / reduced_count(args, args.in_meta[0].shape)};
         },
         .formula = {"sum(x) / n", R"(\frac1n\sum_i x_i)", {{"x", "1 / n", R"(\frac1n)"}}},
         .example = "rv.mean(rv.tensor([1.0, 2.0, 6.0]))",
         .method = true});
  r.add({.name = "nanmean",
         .doc = "Mean over the given axes, or over all, of what is not NaN.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr(), dtype_attr()},
         .types = Types::floats,
         .casts = true,
         .infer = infer_sum,
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op nansum("nansum"), sum("sum"), eq("eq");
           const Attrs over = {args.all()[0], args.all()[1]};
           const Tensor n = sum({eq({in[0], in[0]})}, over);
           return {nansum({in[0]}, over) / as(n, in[0].dtype())};
         },
         .formula = {"nansum(x) / n, n how many are not NaN",
                     R"(\frac1n\sum_{i: x_i = x_i} x_i)",
                     {{"x", "0 at NaN, else 1 / n", R"(\frac{[x_i = x_i]}n)"}}},
         .example = "rv.nanmean(rv.tensor([1.0, float('nan'), 2.0]))",
         .method = true});
  r.add({.name = "count_nonzero",
         .doc = "How many elements are not 0, over the given axes or over all. NaN counts.",
         .inputs = {"input"},
         .attrs = {axes_attr()},
         .infer = [](const InferArgs& args) -> Metas {
           const Dims& shape = args.in[0].shape;
           return {{reduced(shape, axes_of(args, shape.size()), false), DType::int64}};
         },
         .forward = count_nonzero_forward,
         .differentiable = false,
         .formula = {"sum(x != 0)", R"(\sum_i [x_i \ne 0])", {}},
         .example = "rv.count_nonzero(rv.tensor([1, 0, 2]))",
         .method = true});
  r.add({.name = "all_finite",
         .doc = "Whether no element is NaN or infinite.",
         .inputs = {"input"},
         .infer = [](const InferArgs&) -> Metas { return {{{}, DType::bool_}}; },
         .forward = all_finite_forward,
         .differentiable = false,
         .formula = {"all(isfinite(x))", R"(\forall i: |x_i| < \infty)", {}},
         .example = "rv.all_finite(rv.tensor([1.0, float('inf')]))"});
  r.add({.name = "tensors_finite",
         .doc = "Whether no element of any of the tensors is NaN or infinite.",
         .inputs = {"tensors*"},
         .infer = [](const InferArgs&) -> Metas { return {{{}, DType::bool_}}; },
         .forward = all_finite_forward,
         .differentiable = false,
         .formula = {"all(isfinite(x)) of every tensor", R"(\forall i: |x_i| < \infty)", {}},
         .example = "rv.tensors_finite([rv.ones(2), rv.tensor([1.0, float('inf')])])"});
  r.add({.name = "bias_grad",
         .doc = "Sum over the rows of a matrix, as one chain from the first row to the last.",
         .inputs = {"grad"},
         .types = Types::floats,
         .infer = [](const InferArgs& args) -> Metas {
           if (args.in[0].shape.size() != 2) args.mismatch("a matrix (rows, columns)");
           return {{{args.in[0].shape[1]}, args.in[0].dtype}};
         },
         .forward = bias_grad_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {spread(args.grad[0], args.in_meta[0].shape, {0})};
         },
         .formula = {"sum over rows of g", R"(\sum_r g_{rj})", {}},
         .gradient_of = "linear"});
}

}  // namespace

void declare_reductions(Registry& r) {
  declare_sums(r);
  declare_products(r);
  declare_extremes(r);
  declare_histograms(r);
  declare_moments(r);
  declare_norms(r);
  declare_orders(r);
  declare_scans(r);
  declare_unique(r);
}

}  // namespace ranvier
