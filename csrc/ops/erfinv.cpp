// The inverse of erf, which the quantiles of normal distributions need. It is found by iteration
// on the kernels of erf and erfc, in double for both dtypes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

constexpr int64_t kBlock = 512;
constexpr double kHalfRootPi = 0.88622692545275801;

void apply(const char* name, int64_t n, const double* x, double* y) {
  const int row = registry().find(name)->row;
  const void* in[] = {x};
  kernel_table().forward[row][static_cast<int>(DType::float64)](n, in, y, 0);
}

// A first value for y >= 0, good to 1 part in 300 (Winitzki, "A handy approximation for the error
// function and its inverse", 2008).
void first_guess(int64_t n, const double* y, double* x) {
  constexpr double a = 0.147, b = 2 / (3.141592653589793 * a);
  double log[kBlock];
  for (int64_t i = 0; i < n; ++i) x[i] = (1 - y[i]) * (1 + y[i]);
  apply("log", n, x, log);
  for (int64_t i = 0; i < n; ++i) {
    const double t = b + log[i] / 2;
    x[i] = std::sqrt(std::max(std::sqrt(t * t - log[i] / a) - t, 0.0));
  }
}

// Halley's step, which triples the digits. In the upper half the distance is taken from 1, where
// erfc loses nothing.
void improve(int64_t n, const double* y, double* x) {
  double erf[kBlock], erfc[kBlock], slope[kBlock];
  apply("erf", n, x, erf);
  apply("erfc", n, x, erfc);
  for (int64_t i = 0; i < n; ++i) slope[i] = x[i] * x[i];
  apply("exp", n, slope, slope);
  for (int64_t i = 0; i < n; ++i) {
    const double off = y[i] < 0.5 ? erf[i] - y[i] : (1 - y[i]) - erfc[i];
    const double step = off * kHalfRootPi * slope[i];
    x[i] -= step / (1 + x[i] * step);
  }
}

template <class T>
void invert(int64_t n, const T* from, T* to) {
  double y[kBlock], x[kBlock];
  for (int64_t i = 0; i < n; ++i) {
    const double size = std::abs(static_cast<double>(from[i]));
    y[i] = size < 1 ? size : 0;  // the others have their value below
  }
  first_guess(n, y, x);
  for (int round = 0; round < 3; ++round) improve(n, y, x);
  for (int64_t i = 0; i < n; ++i) {
    const T size = std::abs(from[i]);
    const T value = size < 1    ? static_cast<T>(x[i])
                    : size == 1 ? std::numeric_limits<T>::infinity()
                                : std::numeric_limits<T>::quiet_NaN();
    to[i] = std::copysign(value, from[i]);
  }
}

void erfinv_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    parallel_for(x.numel(), kBlock, [&](int64_t begin, int64_t end) {
      invert(end - begin, x.data<T>() + begin, args.out[0].data<T>() + begin);
    });
  });
}

Tensors erfinv_backward(const BackwardArgs& args) {
  static const Op square("square"), exp("exp");
  return {args.grad[0] * (exp({square({args.out[0]})}) * kHalfRootPi)};
}

}  // namespace

void declare_erfinv(Registry& r) {
  r.add({.name = "erfinv",
         .doc = "Inverse of the error function; infinite at -1 and 1, NaN beyond.",
         .inputs = {"input"},
         .types = Types::promote_floats,
         .infer = same_as_first,
         .forward = erfinv_forward,
         .backward = erfinv_backward,
         .saves = {"result"},
         .formula = {"the y with erf(y) = x",
                     R"(\operatorname{erf}^{-1}(x))",
                     {{"x", "sqrt(pi) / 2 exp(y^2)", R"(\frac{\sqrt{\pi}}{2}e^{y^2})"}}},
         .example = "rv.erfinv(rv.tensor([0.0, 0.5, -1.0]))",
         .method = true});
}

}  // namespace ranvier
