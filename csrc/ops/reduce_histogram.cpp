// Counting: how many numbers fall into each bin.
#include <cmath>

#include "ops/reduce.h"

namespace ranvier {
namespace {

Metas infer_histc(const InferArgs& args) {
  const int64_t bins = args.integer(0);
  if (bins < 1) fail(ErrorKind::value, "[histc] expected at least one bin, got ", bins);
  const double low = args.number(1), high = args.number(2);
  if (!std::isfinite(low) || !std::isfinite(high) || low > high)
    fail(ErrorKind::value, "[histc] expected finite min <= max, got ", low, " and ", high);
  return {{{bins}, args.in[0].dtype}};
}

// Equal limits stand for those of the data; equal data get a bin around them.
template <class T>
std::pair<double, double> limits(const ForwardArgs& args, const T* x, int64_t n) {
  double low = args.number(1), high = args.number(2);
  if (low == high && n > 0) {
    low = static_cast<double>(kernels<T>().min(n, x));
    high = static_cast<double>(kernels<T>().max(n, x));
  }
  if (!std::isfinite(low) || !std::isfinite(high))
    fail(ErrorKind::value, "[histc] expected a finite range, got [", low, ", ", high,
         "]; give min and max");
  if (low == high) {
    low -= 1;
    high += 1;
  }
  return {low, high};
}

void histc_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const int64_t bins = args.integer(0);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const values = x.data<T>();
    const auto [low, high] = limits(args, values, x.numel());
    std::vector<int64_t> counts(static_cast<size_t>(bins));
    const double scale = static_cast<double>(bins) / (high - low);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const auto value = static_cast<double>(values[i]);
      if (!(value >= low && value <= high)) continue;  // NaN is in no bin
      const auto bin = static_cast<int64_t>((value - low) * scale);
      ++counts[static_cast<size_t>(std::min(bin, bins - 1))];  // the last bin has both its ends
    }
    T* const y = args.out[0].data<T>();
    for (int64_t i = 0; i < bins; ++i) y[i] = static_cast<T>(counts[static_cast<size_t>(i)]);
  });
}

}  // namespace

void declare_histograms(Registry& r) {
  r.add({.name = "histc",
         .doc = "How many elements fall into each of `bins` equal parts of [min, max], or of the "
                "data's range where min equals max.",
         .inputs = {"input"},
         .attrs = {{.name = "bins", .kind = AttrKind::integer, .value = int64_t{100}},
                   {.name = "min", .kind = AttrKind::number, .value = 0.0},
                   {.name = "max", .kind = AttrKind::number, .value = 0.0}},
         .types = Types::floats,
         .infer = infer_histc,
         .forward = histc_forward,
         .differentiable = false,
         .formula = {"number of x in [low_i, high_i)", R"(\sum_j [l_i \le x_j < h_i])", {}},
         .example = "rv.histc(rv.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)",
         .method = true});
}

}  // namespace ranvier
