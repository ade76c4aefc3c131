// Counting: how often each integer occurs, how many numbers fall into each bin.
#include <cmath>
#include <numeric>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// ---- bincount

void check_bincount(const AttrReader& args, const Tensors& in) {
  const DType dtype = in[0].dtype();
  if (is_floating(dtype) || dtype == DType::bool_)
    fail(ErrorKind::type, "[bincount] expected integers for 'input', got ", name_of(dtype),
         "; call .long() on it");
  if (in[0].dim() != 1)
    fail(ErrorKind::shape, "[bincount] expected an input with one axis, got shape ",
         to_string(in[0].shape()), "; flatten() it");
  if (in[1].defined() && in[1].shape() != in[0].shape())
    fail(ErrorKind::shape, "[bincount] expected as many weights as numbers, got input ",
         to_string(in[0].shape()), " and weights ", to_string(in[1].shape()));
  if (args.integer(0) < 0)
    fail(ErrorKind::value, "[bincount] expected minlength >= 0, got ", args.integer(0));
}

// Only the values say how long the result is.
Metas bincount_metas(const ForwardArgs& args) {
  check_bincount(args, args.in);
  const Tensor x = converted(args.in[0], DType::int64);
  const int64_t* const values = x.data<int64_t>();
  int64_t most = -1;
  for (int64_t i = 0; i < x.numel(); ++i) {
    if (values[i] < 0)
      fail(ErrorKind::value, "[bincount] expected numbers of 0 or more, got ", values[i]);
    most = std::max(most, values[i]);
  }
  if (most == std::numeric_limits<int64_t>::max())
    fail(ErrorKind::shape, "[bincount] expected numbers that can be counted up to, got ", most);
  const Tensor& weights = args.in[1];
  const DType dtype = !weights.defined()                  ? DType::int64
                      : weights.dtype() == DType::float32 ? DType::float32
                                                          : DType::float64;
  return {{{std::max(most + 1, args.integer(0))}, dtype}};
}

void bincount_forward(const ForwardArgs& args) {
  const Tensor x = converted(args.in[0], DType::int64);
  const Tensor& out = args.out[0];
  const int64_t* const values = x.data<int64_t>();
  visit(out.dtype(), [&]<class T>(Tag<T>) {
    T* const y = out.data<T>();
    std::fill_n(y, out.numel(), T(0));
    const Tensor weights = args.in[1].defined() ? converted(args.in[1], out.dtype()) : Tensor();
    const T* const w = weights.defined() ? weights.data<T>() : nullptr;
    for (int64_t i = 0; i < x.numel(); ++i)
      if (values[i] >= 0 && values[i] < out.numel()) y[values[i]] += w ? w[i] : T(1);
  });
}

// ---- histc

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
  r.add({.name = "bincount",
         .doc = "How often each of 0, 1, 2, ... occurs among integers, at least `minlength` of "
                "them; with weights the sum of the weights of each.",
         .inputs = {"input", "weights?"},
         .attrs = {{.name = "minlength", .kind = AttrKind::integer, .value = int64_t{0}}},
         .infer_by_value = bincount_metas,
         .forward = bincount_forward,
         .differentiable = false,
         .formula = {"sum of w where x = i", R"(\sum_j w_j [x_j = i])", {}},
         .example = "rv.bincount(rv.tensor([1, 3, 1]))",
         .method = true});
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
