// Norms, distances, and the logarithm of a sum of exponentials.
#include <cmath>
#include <limits>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// ---- norm: attributes p, dim, keepdim, dtype

struct AbsoluteSum {
  double sum = 0;
  template <class T>
  void take(T x, int64_t) {
    sum += std::abs(static_cast<double>(x));
  }
  void join(const AbsoluteSum& later) { sum += later.sum; }
  double result() const { return sum; }
};

struct NonzeroCount {
  double n = 0;
  template <class T>
  void take(T x, int64_t) {
    n += x != x ? static_cast<double>(x) : x != T(0);
  }
  void join(const NonzeroCount& later) { n += later.n; }
  double result() const { return n; }
};

struct PowerSum {
  double p, sum = 0;
  template <class T>
  void take(T x, int64_t) {
    sum += std::pow(std::abs(static_cast<double>(x)), p);
  }
  void join(const PowerSum& later) { sum += later.sum; }
  double result() const { return std::pow(sum, 1 / p); }
};

template <bool Largest>
struct AbsoluteExtreme {
  double value = Largest ? 0 : std::numeric_limits<double>::infinity();
  template <class T>
  void take(T x, int64_t) {
    choose(std::abs(static_cast<double>(x)));
  }
  void choose(double x) {
    if (value == value && !(Largest ? x <= value : x >= value)) value = x;
  }
  void join(const AbsoluteExtreme& later) { choose(later.value); }
  double result() const { return value; }
};

// The square root of sums of squares that are too large or too small for their type.
template <class T>
T scaled_norm(const T* x, int64_t n, int64_t stride) {
  AbsoluteExtreme<true> largest;
  for (int64_t i = 0; i < n; ++i) largest.take(x[i * stride], i);
  const double scale = largest.value;
  if (!(scale > 0) || std::isinf(scale)) return static_cast<T>(scale);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double part = static_cast<double>(x[i * stride]) / scale;
    sum += part * part;
  }
  return static_cast<T>(scale * std::sqrt(sum));
}

template <class T>
void euclidean(const T* x, const AxisSplit& s, T* y) {
  const int64_t results = s.outer * s.inner;
  const Scratch memory(static_cast<size_t>(2 * results) * sizeof(T));
  T *const zero = reinterpret_cast<T*>(memory.get()), *const unused = zero + results;
  std::fill_n(zero, results, T(0));
  deviation_sums(x, s, zero, unused, y);
  constexpr T kSmall = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
  for (int64_t i = 0; i < results; ++i)
    y[i] = y[i] >= kSmall && y[i] <= std::numeric_limits<T>::max()
               ? std::sqrt(y[i])
               : scaled_norm(x + i / s.inner * s.size * s.inner + i % s.inner, s.size, s.inner);
}

void norm_forward(const ForwardArgs& args) {
  const double p = args.number(0);
  AxisSplit split({}, 0);
  const Tensor from = gathered(args.in[0], axes_of(args, args.in[0].dim(), 1), &split);
  visit_floating(from.dtype(), [&]<class T>(Tag<T>) {
    const T* const x = from.data<T>();
    T* const y = args.out[0].data<T>();
    const auto folded = [&](const auto& start) {
      fold(x, split, start, [&](int64_t i, const auto& s) { y[i] = static_cast<T>(s.result()); });
    };
    if (p == 2)
      euclidean(x, split, y);
    else if (p == 1)
      folded(AbsoluteSum());
    else if (p == 0)
      folded(NonzeroCount());
    else if (std::isinf(p) && p > 0)
      folded(AbsoluteExtreme<true>());
    else if (std::isinf(p))
      folded(AbsoluteExtreme<false>());
    else
      folded(PowerSum{p});
  });
}

Prepared norm_prepare(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  if (args.number(0) != 2 || is_half(x.dtype())) return {};
  const Standing s = standing(x, axes_of(args, x.dim(), 1));
  if (!s.from.defined()) return {};
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    call = [from = s.from, split = s.split, out = args.out[0].data<T>()] {
      euclidean(from.data<T>(), split, out);
    };
  });
  return brought(s.bring, std::move(call));
}

Metas infer_norm(const InferArgs& args) {
  const Meta& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.shape.size(), 1);
  const double p = args.number(0);
  if (p < 0 || std::isinf(p)) expect_elements(args, axes, args.given(1));
  return {{reduced(x.shape, axes, args.flag(2)), x.dtype}};
}

// sign(x) (|x| / y)^(p-1), with 0 where x or y is 0. The quotient can neither overflow nor divide 0
// by 0, which separate powers of |x| and y can.
Tensors norm_backward(const BackwardArgs& args) {
  static const Op abs("abs"), sign("sign"), eq("eq"), ne("ne"), pow("pow"), expand("expand");
  const Tensor& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.dim(), 1);
  const double p = args.number(0);
  const DType dtype = x.dtype();
  const Tensor y = kept(args.out[0], x.shape(), axes), zero = scalar(0, dtype);
  Tensor g = kept(args.grad[0], x.shape(), axes);
  if (p == 0) return {expand({zero}, {list(x.shape())})};
  if (p == 1) return {sign({x}) * g};
  if (std::isinf(p)) {
    const Tensor chosen = as(eq({abs({x}), y}), dtype);
    return {sign({x}) * (g / total(chosen, axes)) * chosen};
  }
  g = g * as(ne({y, zero}), dtype);
  if (p == 2) return {x / safe_divisor(y) * g};
  const Tensor quotient = abs({x}) / safe_divisor(y) + as(eq({x, zero}), dtype);
  return {sign({x}) * pow({quotient, scalar(p - 1, g.dtype())}) * g};
}

// ---- logsumexp

void logsumexp_forward(const ForwardArgs& args) {
  AxisSplit split({}, 0);
  const Tensor from = gathered(args.in[0], axes_of(args, args.in[0].dim()), &split, true);
  visit_floating(from.dtype(), [&]<class T>(Tag<T>) {
    const T* const x = from.data<T>();
    T* const y = args.out[0].data<T>();
    const auto kernel = kernels<T>().log_sum_exp;
    parallel_items(split.outer, split.size, kGrainFolded, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) y[row] = kernel(split.size, x + row * split.size);
    });
  });
}

// Of a row of -inf the result is -inf, too: their difference would be NaN.
Tensors logsumexp_backward(const BackwardArgs& args) {
  static const Op exp("exp"), maximum("maximum");
  const Tensor& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.dim());
  const double lowest = x.dtype() == DType::float16 ? -65504.0 : -3e38;
  const Tensor y = maximum({kept(args.out[0], x.shape(), axes), scalar(lowest, x.dtype())});
  return {kept(args.grad[0], x.shape(), axes) * exp({x - y})};
}

AttrDef p_attr() { return {.name = "p", .kind = AttrKind::number, .value = 2.0}; }

}  // namespace

void declare_norms(Registry& r) {
  r.add({.name = "norm",
         .doc = "p-norm of the elements over the given axes, or over all: (sum |x|^p)^(1/p); the "
                "largest |x| for p = inf, the smallest for -inf, the number of nonzeros for 0.",
         .inputs = {"input"},
         .attrs = {p_attr(), axes_attr(), keepdim_attr(), dtype_attr()},
         .types = Types::floats,
         .casts = true,
         .infer = infer_norm,
         .forward = norm_forward,
         .prepare = norm_prepare,
         .backward = norm_backward,
         .saves = {"input", "result"},
         .formula = {"sum(|x|^p)^(1/p)",
                     R"(\Bigl(\sum_i |x_i|^p\Bigr)^{1/p})",
                     {{"x", "sign(x) (|x| / y)^(p-1), 0 where x or y is 0",
                       R"(\operatorname{sign}(x_i)\Bigl(\frac{|x_i|}{y}\Bigr)^{p-1})"}}},
         .example = "rv.norm(rv.tensor([3.0, 4.0]))",
         .fronted = true});
  r.add({.name = "dist",
         .doc = "p-norm of the difference of two tensors, which broadcast.",
         .inputs = {"input", "other"},
         .attrs = {p_attr()},
         .types = Types::promote,
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op norm("norm");
           return {norm({in[0] - in[1]}, {args.number(0)})};
         },
         .formula = {"norm(x - y, p)",
                     R"(\lVert x - y\rVert_p)",
                     {{"x", "that of norm", R"(\nabla\lVert\cdot\rVert_p(x-y))"},
                      {"y", "minus that of norm", R"(-\nabla\lVert\cdot\rVert_p(x-y))"}}},
         .example = "rv.dist(rv.tensor([1.0, 2.0]), rv.tensor([4.0, 6.0]))",
         .method = true});
  r.add({.name = "logsumexp",
         .doc = "Logarithm of the sum of exponentials over the given axes, without overflow; -inf "
                "over no elements.",
         .inputs = {"input"},
         .attrs = {{.name = "dim", .kind = AttrKind::integers, .value = {}, .required = true},
                   keepdim_attr()},
         .types = Types::promote_floats,
         .infer = [](const InferArgs& args) -> Metas {
           const Meta& x = args.in[0];
           return {{reduced(x.shape, axes_of(args, x.shape.size()), args.flag(1)), x.dtype}};
         },
         .forward = logsumexp_forward,
         .backward = logsumexp_backward,
         .saves = {"input", "result"},
         .formula = {"log(sum(exp(x)))",
                     R"(\ln\sum_i e^{x_i})",
                     {{"x", "exp(x - y)", R"(e^{x_i - y})"}}},
         .example = "rv.logsumexp(rv.tensor([1000.0, 1000.0]), 0)",
         .method = true});
}

}  // namespace ranvier
