// Variance and standard deviation. Two passes: the mean, then sums of x - mean and of its square;
// the first of them corrects what the rounding of the mean has cost, so that values far from 0
// lose nothing.
#include <cmath>
#include <limits>

#include "ops/reduce.h"

namespace ranvier {
namespace {

double divisor_of(const AttrReader& args, const Dims& shape) {
  const auto n = static_cast<double>(count_along(shape, axes_of(args, shape.size())));
  return std::max(0.0, n - (args.given(1) ? args.number(1) : 1.0));
}

// Welford, "Note on a method for calculating corrected sums of squares and products" (1962), in
// float64: for what has left the range of T on the way.
template <class T>
void careful(const T* x, int64_t n, int64_t stride, double divisor, T* var, T* mean) {
  double center = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<double>(x[i * stride]);
    const double difference = value - center;
    center += difference / static_cast<double>(i + 1);
    squares += difference * (value - center);
  }
  *var = static_cast<T>(squares / divisor);
  if (std::isfinite(center)) *mean = static_cast<T>(center);
}

// var and mean are (outer, inner).
template <class T>
void moments(const T* x, const AxisSplit& s, double divisor, T* var, T* mean) {
  const int64_t results = s.outer * s.inner;
  const T n = static_cast<T>(s.size);
  sum_split(x, s, mean);
  for (int64_t i = 0; i < results; ++i) mean[i] /= n;
  const Scratch memory(static_cast<size_t>(results) * sizeof(T));
  T* const rest = reinterpret_cast<T*>(memory.get());
  deviation_sums(x, s, mean, rest, var);
  for (int64_t i = 0; i < results; ++i) {
    const T correction = rest[i] / n;
    const T squares = var[i] - rest[i] * correction;
    // A square of NaN stays one: max() would drop it.
    var[i] = (squares < 0 ? T(0) : squares) / static_cast<T>(divisor);
    if (std::isfinite(correction)) mean[i] += correction;
    if (s.size > 0 && !std::isfinite(var[i]))
      careful(x + i / s.inner * s.size * s.inner + i % s.inner, s.size, s.inner, divisor, var + i,
              mean + i);
  }
}

template <bool Root>
void moments_into(const Tensor& from, const AxisSplit& split, double divisor, const Tensor& var,
                  const Tensor& mean) {
  visit_floating(from.dtype(), [&]<class T>(Tag<T>) {
    T* const y = var.data<T>();
    moments(from.data<T>(), split, divisor, y, mean.data<T>());
    if (Root)
      for (int64_t i = 0; i < var.numel(); ++i) y[i] = std::sqrt(y[i]);
  });
}

// The second result, or memory in its place.
Tensor mean_of(const ForwardArgs& args) {
  const Tensor& var = args.out[0];
  return args.out.size() > 1 ? args.out[1] : Tensor::empty(var.shape(), var.dtype());
}

template <bool Root>
void moments_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  AxisSplit split({}, 0);
  const Tensor from = gathered(x, axes_of(args, x.dim()), &split);
  moments_into<Root>(from, split, divisor_of(args, x.shape()), args.out[0], mean_of(args));
}

template <bool Root>
Prepared moments_prepare(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const Standing s = is_half(x.dtype()) ? Standing() : standing(x, axes_of(args, x.dim()));
  if (!s.from.defined()) return {};
  return brought(s.bring, [from = s.from, split = s.split, divisor = divisor_of(args, x.shape()),
                           var = args.out[0], mean = mean_of(args)] {
    moments_into<Root>(from, split, divisor, var, mean);
  });
}

Metas infer_moments(const InferArgs& args) {
  const Meta& x = args.in[0];
  const Meta out{reduced(x.shape, axes_of(args, x.shape.size()), args.flag(2)), x.dtype};
  return args.op().outputs.size() > 1 ? Metas{out, out} : Metas{out};
}

// d var / dx = 2 (x - mean) / divisor; d std = d var / (2 std), taken as 0 where std is 0.
Tensor spread_slope(const BackwardArgs& args, const std::vector<int>& axes, bool root) {
  const Tensor& x = args.in[0];
  const double n = static_cast<double>(count_along(x.shape(), axes));
  const double scale = (root ? 1.0 : 2.0) / divisor_of(args, x.shape());
  Tensor g = kept(args.grad[0], x.shape(), axes);
  if (root) {
    static const Op ne("ne");
    const Tensor std = kept(args.out[0], x.shape(), axes);
    g = g * as(ne({std, scalar(0, std.dtype())}), g.dtype()) / safe_divisor(std);
  }
  return g * (x - total(x, axes) / n) * scale;
}

template <bool Root>
Tensors moments_backward(const BackwardArgs& args) {
  const Dims& shape = args.in_meta[0].shape;
  const std::vector<int> axes = axes_of(args, shape.size());
  Tensor dx;
  if (args.grad[0].defined()) dx = spread_slope(args, axes, Root);
  if (args.grad.size() > 1 && args.grad[1].defined()) {
    const double n = static_cast<double>(count_along(shape, axes));
    const Tensor rest = spread(args.grad[1] / n, shape, axes);
    dx = dx.defined() ? dx + rest : rest;
  }
  return {dx};
}

template <bool Root>
void declare_moment(Registry& r, OpDef op) {
  op.inputs = {"input"};
  op.attrs = {axes_attr(),
              {.name = "correction",
               .kind = AttrKind::number,
               .value = 1.0,
               .optional = true,
               .keyword = true},
              {.name = "keepdim", .kind = AttrKind::flag, .value = false, .keyword = true}};
  op.types = Types::floats;
  op.infer = infer_moments;
  op.forward = moments_forward<Root>;
  op.prepare = moments_prepare<Root>;
  op.backward = moments_backward<Root>;
  op.saves = {"input"};
  if (Root) op.saves.push_back(op.outputs[0]);
  op.fronted = true;
  r.add(std::move(op));
}

}  // namespace

void declare_moments(Registry& r) {
  const Formula var = {
      "sum((x - mean(x))^2) / (n - correction)",
      R"(\frac1{n-c}\sum_i (x_i-\bar x)^2)",
      {{"x", "2 (x - mean(x)) / (n - correction)", R"(\frac{2(x_i-\bar x)}{n-c})"}}};
  const Formula std = {"sqrt(var(x))",
                       R"(\sqrt{\frac1{n-c}\sum_i (x_i-\bar x)^2})",
                       {{"x", "(x - mean(x)) / ((n - correction) std(x)), 0 where std(x) = 0",
                         R"(\frac{x_i-\bar x}{(n-c)\,s})"}}};
  declare_moment<false>(r, {.name = "var",
                            .doc = "Variance over the given axes, or over all, with divisor "
                                   "n - correction.",
                            .formula = var,
                            .example = "rv.var(rv.tensor([1.0, 2.0, 4.0]))"});
  declare_moment<true>(r, {.name = "std",
                           .doc = "Standard deviation over the given axes, or over all, with "
                                  "divisor n - correction.",
                           .formula = std,
                           .example = "rv.std(rv.tensor([1.0, 2.0, 4.0]))"});
  declare_moment<false>(r, {.name = "var_mean",
                            .doc = "Variance and mean over the given axes, or over all.",
                            .outputs = {"var", "mean"},
                            .formula = var,
                            .example = "rv.var_mean(rv.tensor([1.0, 2.0, 4.0]))"});
  declare_moment<true>(r, {.name = "std_mean",
                           .doc = "Standard deviation and mean over the given axes, or over all.",
                           .outputs = {"std", "mean"},
                           .formula = std,
                           .example = "rv.std_mean(rv.tensor([1.0, 2.0, 4.0]))"});
}

}  // namespace ranvier
