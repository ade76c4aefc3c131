// Sums, products and extremes of everything up to an element. Every row is one chain from its first
// element to its last, floating sums and products in float64: the order depends on nothing.
#include <cmath>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// emit(position, state) after every element of x (outer, size, inner) along its axis. Neighbouring
// rows go together, so that memory is walked through in its own order.
template <class T, class State, class Emit>
void scan(const T* x, const AxisSplit& s, const State& start, Emit emit) {
  const int64_t tiles = (s.inner + kColumns - 1) / kColumns;
  const int64_t work = s.size * std::min(s.inner, kColumns);
  parallel_items(s.outer * tiles, work, kGrainRunning, [&](int64_t begin, int64_t end) {
    State states[kColumns];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t left = unit % tiles * kColumns, columns = std::min(s.inner - left, kColumns);
      const int64_t first = unit / tiles * s.size * s.inner + left;
      std::fill_n(states, columns, start);
      for (int64_t r = 0; r < s.size; ++r)
        for (int64_t j = 0; j < columns; ++j) {
          const int64_t at = first + r * s.inner + j;
          states[j].take(x[at], r);
          emit(at, states[j]);
        }
    }
  });
}

// ---- sums and products; integers wrap around

template <class Wide>
struct Sum {
  Wide value = 0;
  template <class T>
  void take(T x, int64_t) {
    value += static_cast<Wide>(x);
  }
};

template <class Wide>
struct Product {
  Wide value = 1;
  template <class T>
  void take(T x, int64_t) {
    value *= static_cast<Wide>(x);
  }
};

template <template <class> class State>
void accumulate_forward(const ForwardArgs& args) {
  if (args.in[0].numel() == 0) return;  // of any number of lines
  const Tensor x = packed(args.in[0]), &out = args.out[0];
  const AxisSplit s = axis_split(args, x);
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    const auto into = [&](auto* y) {
      using Out = std::remove_pointer_t<decltype(y)>;
      scan(x.data<T>(), s, State<Wide>(),
           [&](int64_t i, const State<Wide>& state) { y[i] = static_cast<Out>(state.value); });
    };
    if (out.dtype() == x.dtype())
      into(out.data<T>());
    else
      into(out.data<int64_t>());
  });
}

Metas infer_accumulated(const InferArgs& args) {
  const Meta& x = args.in[0];
  normal_axis(args.op().name.c_str(), args.integer(0), x.shape.size());
  return {{x.shape, args.given(1)          ? static_cast<DType>(args.integer(1))
                    : is_floating(x.dtype) ? x.dtype
                                           : DType::int64}};
}

// ---- extremes

// The later of two equal elements counts, as in PyTorch; a NaN is the extreme of all that follow.
template <class T, bool Largest>
struct Extreme {
  T value;
  int64_t at = -1;
  void take(T x, int64_t i) {
    if (at >= 0 && x == x && !(value == value && (Largest ? x >= value : x <= value))) return;
    value = x;
    at = i;
  }
};

template <bool Largest>
void extreme_forward(const ForwardArgs& args) {
  if (args.in[0].numel() == 0) return;  // of any number of lines
  const Tensor x = packed(args.in[0]);
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    T* const y = args.out[0].data<T>();
    int64_t* const at = args.out[1].data<int64_t>();
    scan(x.data<T>(), axis_split(args, x), Extreme<T, Largest>(),
         [&](int64_t i, const Extreme<T, Largest>& best) {
           y[i] = best.value;
           at[i] = best.at;
         });
  });
}

// ---- logcumsumexp

// log(sum(exp(x))) as most + log(sum), in float64.
struct LogSum {
  double most = -INFINITY, sum = 0;
  template <class T>
  void take(T x, int64_t) {
    const auto value = static_cast<double>(x);
    if (most != most) return;
    if (value == most) {
      sum += value == -INFINITY ? 0 : 1;
    } else if (value < most) {
      sum += std::exp(value - most);
    } else {  // larger, or NaN
      sum = 1 + sum * std::exp(most - value);
      most = value;
    }
  }
  double value() const { return most - most == 0 ? most + std::log(sum) : most; }
};

void logcumsumexp_forward(const ForwardArgs& args) {
  if (args.in[0].numel() == 0) return;  // of any number of lines
  const Tensor x = packed(args.in[0]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    T* const y = args.out[0].data<T>();
    scan(x.data<T>(), axis_split(args, x), LogSum(),
         [&](int64_t i, const LogSum& sum) { y[i] = static_cast<T>(sum.value()); });
  });
}

// ---- gradients

Tensor reversed(const Tensor& x, int64_t axis) {
  static const Op flip("flip");
  return x.dim() == 0 ? x : flip({x}, {std::vector<int64_t>{axis}});
}

// Every element counts in all later sums.
Tensors cumsum_backward(const BackwardArgs& args) {
  static const Op cumsum("cumsum");
  const int64_t axis = args.integer(0);
  return {reversed(cumsum({reversed(args.grad[0], axis)}, {axis}), axis)};
}

// The product of 1, 2, 4, ... elements, each step from the one before: no division, so that zeros
// need no care.
Tensors cumprod_composite(const Tensors& in, const AttrReader& args) {
  static const Op slice("slice"), cat("cat");
  Tensor y = in[0];
  if (!is_floating(y.dtype()) && !args.given(1)) y = as(y, DType::int64);
  if (y.dim() == 0) return {y * 1.0};
  const int64_t axis = normal_axis("cumprod", args.integer(0), y.dim());
  const int64_t n = y.shape()[static_cast<int>(axis)];
  const auto part = [&](int64_t begin, int64_t end) {
    return slice({y}, {axis, begin, end, int64_t{1}});
  };
  if (n < 2) return {y * 1.0};
  for (int64_t step = 1; step < n; step *= 2)
    y = cat({part(0, step), part(step, n) * part(0, n - step)}, {axis});
  return {y};
}

Tensors extreme_backward(const BackwardArgs& args) {
  static const Op scatter("scatter_add"), expand("expand");
  if (!args.grad[0].defined()) return {Tensor()};
  const Meta& x = args.in_meta[0];
  const Tensor zeros = expand({scalar(0, x.dtype)}, {list(x.shape)});
  return {scatter({zeros, args.out[1], args.grad[0]}, {args.integer(0)})};
}

// dx = exp(x) sum of g exp(-y) over later elements. That sum is a logcumsumexp of its own, of the
// positive and of the negative part of g; y is cut below, where its exponential is 0 anyway.
Tensors logcumsumexp_backward(const BackwardArgs& args) {
  static const Op scan("logcumsumexp"), log("log"), exp("exp"), relu("relu"), maximum("maximum");
  const Tensor &x = args.in[0], &g = args.grad[0];
  const int64_t axis = args.integer(0);
  const double lowest = x.dtype() == DType::float16 ? -6e4 : -1e38;
  const Tensor y = maximum({args.out[0], scalar(lowest, x.dtype())});
  const auto part = [&](const Tensor& positive) {
    const Tensor later = scan({reversed(log({relu({positive})}) - y, axis)}, {axis});
    return exp({reversed(later, axis) + x});
  };
  return {part(g) - part(-g)};
}

// ---- diff: the inverse of cumsum

Tensors diff_composite(const Tensors& in, const AttrReader& args) {
  static const Op slice("slice"), cat("cat"), ne("ne"), clone("clone");
  const int64_t n = args.integer(0);
  Tensor x = in[0];
  if (n < 0) fail(ErrorKind::value, "[diff] expected n >= 0, got ", n);
  if (x.dim() == 0)
    fail(ErrorKind::shape, "[diff] expected an axis to take differences along, got shape ()");
  const int64_t axis = normal_axis("diff", args.integer(1), x.dim());
  Tensors parts;
  for (const Tensor& t : {in[1], x, in[2]})
    if (t.defined()) parts.push_back(t);
  x = parts.size() > 1 ? cat(parts, {axis}) : clone({x});
  for (int64_t i = 0; i < n; ++i) {
    const int64_t size = x.shape()[static_cast<int>(axis)];
    const auto part = [&](int64_t begin, int64_t end) {
      return slice({x}, {axis, begin, end, int64_t{1}});
    };
    if (size == 0) break;
    const Tensor later = part(1, size), earlier = part(0, size - 1);
    x = x.dtype() == DType::bool_ ? ne({later, earlier}) : later - earlier;
  }
  return {x};
}

AttrDef along() {
  return {.name = "dim", .kind = AttrKind::integer, .value = {}, .required = true};
}

template <template <class> class State>
void declare_accumulation(Registry& r, OpDef op) {
  op.inputs = {"input"};
  op.attrs = {along(), dtype_attr()};
  op.casts = true;
  op.infer = infer_accumulated;
  op.forward = accumulate_forward<State>;
  op.method = true;
  r.add(std::move(op));
}

template <bool Largest>
void declare_extreme(Registry& r, const std::string& word, const std::string& adjective) {
  r.add({.name = "cum" + word,
         .doc = "The " + adjective +
                " of the elements up to each one along an axis, and where it "
                "is: the last place of several. NaN stays from where it stands.",
         .inputs = {"input"},
         .outputs = {"values", "indices"},
         .attrs = {along()},
         .infer = [](const InferArgs& args) -> Metas {
           const Meta& x = args.in[0];
           normal_axis(args.op().name.c_str(), args.integer(0), x.shape.size());
           return {x, {x.shape, DType::int64}};
         },
         .forward = extreme_forward<Largest>,
         .backward = extreme_backward,
         .saves = {"indices"},
         .formula = {word + "(x_0, ..., x_i)",
                     "\\" + word + R"(_{j \le i} x_j)",
                     {{"x", "sum of g where this element was chosen", R"(\sum_{t_i = j} g_i)"}}},
         .example = "rv.cum" + word + "(rv.tensor([1.0, 3.0, 2.0]), 0)",
         .method = true});
}

}  // namespace

void declare_scans(Registry& r) {
  declare_accumulation<Sum>(
      r, {.name = "cumsum",
          .doc = "Sum of the elements up to each one along an axis. Integers and booleans add up "
                 "to int64.",
          .backward = cumsum_backward,
          .formula = {"x_0 + ... + x_i",
                      R"(\sum_{j \le i} x_j)",
                      {{"x", "sum of g from here on", R"(\sum_{i \ge j} g_i)"}}},
          .example = "rv.cumsum(rv.tensor([1.0, 2.0, 3.0]), 0)"});
  declare_accumulation<Product>(
      r, {.name = "cumprod",
          .doc = "Product of the elements up to each one along an axis. Integers and booleans "
                 "multiply to int64.",
          .composite = cumprod_composite,
          .saves = {"input"},
          .formula = {"x_0 ... x_i",
                      R"(\prod_{j \le i} x_j)",
                      {{"x", "sum over later products of g times the product of the others",
                        R"(\sum_{i \ge k} g_i \prod_{j \le i, j \ne k} x_j)"}}},
          .example = "rv.cumprod(rv.tensor([1.0, 2.0, 3.0]), 0)"});
  declare_extreme<true>(r, "max", "largest");
  declare_extreme<false>(r, "min", "smallest");
  r.add({.name = "logcumsumexp",
         .doc = "Logarithm of the sum of exponentials up to each element along an axis, without "
                "overflow.",
         .inputs = {"input"},
         .attrs = {along()},
         .types = Types::floats,
         .infer = [](const InferArgs& args) -> Metas {
           normal_axis("logcumsumexp", args.integer(0), args.in[0].shape.size());
           return {args.in[0]};
         },
         .forward = logcumsumexp_forward,
         .backward = logcumsumexp_backward,
         .saves = {"input", "result"},
         .formula = {"log(exp(x_0) + ... + exp(x_i))",
                     R"(\ln\sum_{j \le i} e^{x_j})",
                     {{"x", "sum of g exp(x - y) from here on",
                       R"(\sum_{i \ge j} g_i e^{x_j - y_i})"}}},
         .example = "rv.logcumsumexp(rv.tensor([1.0, 2.0, 3.0]), 0)",
         .method = true});
  r.add({.name = "diff",
         .doc = "Differences of neighbours along an axis, n times; of booleans, whether they "
                "differ. `prepend` and `append` are joined on first.",
         .inputs = {"input", "prepend?", "append?"},
         .attrs = {{.name = "n", .kind = AttrKind::integer, .value = int64_t{1}},
                   {.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}}},
         .arguments = {"input", "n", "dim", "prepend", "append"},
         .composite = diff_composite,
         .formula = {"x_(i+1) - x_i",
                     R"(x_{i+1} - x_i)",
                     {{"x", "g_(i-1) - g_i", R"(g_{i-1} - g_i)"}}},
         .example = "rv.diff(rv.tensor([1.0, 3.0, 2.0]))",
         .method = true});
}

}  // namespace ranvier
