// Random fills with floating numbers. An op takes the generator's state (seed, position), draws,
// and moves it on. The discrete ones are in random_discrete.cpp.
#include "ops/random.h"

#include <limits>

#include "ops/families.h"
#include "ops/loops.h"

namespace ranvier {

State take(const Tensor& state, int64_t used) {
  if (!state.is_contiguous())
    fail(ErrorKind::shape, "[random] expected a generator's state in adjacent memory, got strides ",
         to_string(state.strides()));
  int64_t* p = state.data<int64_t>();
  const State before = {static_cast<uint64_t>(p[0]), static_cast<uint64_t>(p[1])};
  p[1] = static_cast<int64_t>(before.position + static_cast<uint64_t>(used));
  return before;
}

void check_state(const InferArgs& args) {
  if (!(args.in[0].shape == Dims{2}) || args.in[0].dtype != DType::int64)
    args.mismatch("a generator's state, int64 (2,)");
}

namespace {

DType dtype_of(const AttrReader& args, int i) { return static_cast<DType>(args.integer(i)); }

// x as `dtype` stores it.
template <class T>
T stored(T x, DType dtype) {
  if (dtype == DType::float16) return static_cast<T>(convert<float>(convert<Half>(x)));
  if (dtype == DType::bfloat16) return static_cast<T>(convert<float>(convert<BFloat16>(x)));
  return x;
}

// The largest number of [low, high) that `dtype` has.
template <class T>
T last_below(T high, T low, DType dtype) {
  T most = std::nextafter(high, low);
  if (!is_half(dtype) || low >= high) return most;
  const T step = std::abs(high) * T(0x1p-13) + T(0x1p-26);
  while (most > low && stored(most, dtype) >= high) most -= step;
  return most;
}

void uniform_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const double low = args.number(1), high = args.number(2);
  const DType dtype = dtype_of(args, 3);
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const State state = take(args.in[0], counters<T>(out.numel()));
    const T width = static_cast<T>(high - low), start = static_cast<T>(low);
    // The sum may round up to high, and half precision has fewer steps than u has bits.
    const T most = last_below(static_cast<T>(high), start, dtype);
    const T steps = dtype == DType::float16 ? 0x1p11f : dtype == DType::bfloat16 ? 0x1p8f : 0;
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, T* u) {
      if (steps > 0)
        for (int64_t i = 0; i < n; ++i) u[i] = std::floor(u[i] * steps) / steps;
      T* to = out.data<T>() + first;
      for (int64_t i = 0; i < n; ++i) to[i] = std::min(start + width * u[i], most);
    });
  });
}

// n standard normal numbers from as many uniform ones: 2i and 2i + 1 give 2i and 2i + 1.
template <class T>
void box_muller(const T* u, int64_t n, T* z) {
  constexpr int64_t most = kDrawn / 2;
  T a[most], b[most], z0[most], z1[most];
  const int64_t pairs = (n + 1) / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    a[i] = u[2 * i];
    b[i] = u[2 * i + 1];
  }
  kernels<T>().box_muller(pairs, a, b, z0, z1);
  for (int64_t i = 0; i < n; ++i) {
    const T* from = i % 2 ? z1 : z0;
    z[i] = from[i / 2];
  }
}

void normal_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const State state = take(args.in[0], counters<T>(out.numel()));
    const T mean = static_cast<T>(args.number(1)), std = static_cast<T>(args.number(2));
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, const T* u) {
      T* to = out.data<T>() + first;
      box_muller(u, n, to);
      for (int64_t i = 0; i < n; ++i) to[i] = mean + std * to[i];
    });
  });
}

void exponential_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const State state = take(args.in[0], counters<T>(out.numel()));
    const T rate = static_cast<T>(args.number(1));
    const T least = dtype_of(args, 2) == DType::float16 ? T(0x1p-24) : T(0);  // would become 0
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, T* u) {
      exponential_from(u, n);
      T* to = out.data<T>() + first;
      for (int64_t i = 0; i < n; ++i) to[i] = std::max(u[i] / rate, least);
    });
  });
}

// A packed copy of `t`, broadcast to `shape`.
Tensor spread(const Tensor& t, const Dims& shape) {
  const Tensor wide = Tensor::empty(shape, t.dtype());
  copy(wide, t);
  return wide;
}

void normal_around_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const Tensor deviations = packed(args.in[2]);
    for (int64_t i = 0; i < deviations.numel(); ++i)
      if (!(deviations.data<T>()[i] >= 0))
        fail(ErrorKind::runtime, "[normal] expected deviations of at least 0, got ",
             double{deviations.data<T>()[i]});
    const Tensor mean = spread(args.in[1], out.shape()), std = spread(deviations, out.shape());
    const State state = take(args.in[0], counters<T>(out.numel()));
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, const T* u) {
      T* to = out.data<T>() + first;
      box_muller(u, n, to);
      const T *m = mean.data<T>() + first, *s = std.data<T>() + first;
      for (int64_t i = 0; i < n; ++i) to[i] = m[i] + s[i] * to[i];
    });
  });
}

double largest(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return 65504.0;
    case DType::bfloat16:
      return 0x1.fep127;
    case DType::float32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

// The dtype of a fill, checked.
DType floating(const InferArgs& args, int i) {
  if (args.integer(i) < 0 || args.integer(i) >= kDTypes || !is_floating(dtype_of(args, i)))
    fail(ErrorKind::type, "[", args.op().name,
         "] expected a floating dtype (float32, float64, float16, bfloat16), got ",
         args.integer(i) < 0 || args.integer(i) >= kDTypes ? "none" : name_of(dtype_of(args, i)));
  return dtype_of(args, i);
}

Metas infer_fill(const InferArgs& args) {
  check_state(args);
  const DType dtype = floating(args, 3);
  const double a = args.number(1), b = args.number(2), most = largest(dtype);
  const bool normal = args.op().name == "normal";
  const bool fits = std::abs(a) <= most && std::abs(b) <= most;
  if (!fits || (normal ? b < 0 : !(a <= b && b - a <= most)))
    fail(ErrorKind::value, "[", args.op().name, "] expected ",
         normal ? "a finite mean and a deviation of at least 0" : "finite bounds, low first",
         " in the range of ", name_of(dtype), ", got ", a, " and ", b);
  return {{args.dims(0), dtype}};
}

Metas infer_exponential(const InferArgs& args) {
  check_state(args);
  const DType dtype = floating(args, 2);
  const double rate = args.number(1);
  if (!(rate > 0)) fail(ErrorKind::runtime, "[exponential] expected a rate above 0, got ", rate);
  return {{args.dims(0), dtype}};
}

Metas infer_normal_around(const InferArgs& args) {
  check_state(args);
  for (size_t i = 1; i < 3; ++i)
    if (!is_floating(args.in[i].dtype))
      fail(ErrorKind::type, "[normal] expected a floating dtype for '", args.op().inputs[i],
           "', got ", name_of(args.in[i].dtype), "; call .float() on it");
  if (args.in[1].dtype != args.in[2].dtype)
    fail(ErrorKind::type, "[normal] expected one dtype, got ", name_of(args.in[1].dtype),
         " for 'mean' and ", name_of(args.in[2].dtype), " for 'std'; call .to() on one of them");
  return {{broadcast(args, args.in[1].shape, args.in[2].shape), args.in[1].dtype}};
}

AttrDef dtype_attr() {
  return {.name = "dtype", .kind = AttrKind::dtype, .value = static_cast<int64_t>(DType::float32)};
}

void declare_fill(Registry& r, OpDef op) {
  op.mutates = {"state"};
  op.differentiable = false;
  op.fronted = true;
  r.add(std::move(op));
}

}  // namespace

void declare_random(Registry& r) {
  const auto number = [](const char* name, double value) {
    return AttrDef{.name = name, .kind = AttrKind::number, .value = value};
  };
  const AttrDef shape = required("shape", AttrKind::integers);
  const Formula normal = {"mean + std sqrt(-2 log(1 - u)) cos(2 pi v)",
                          R"(\mu+\sigma\sqrt{-2\ln(1-u)}\cos 2\pi v)",
                          {}};
  declare_fill(r, {.name = "uniform",
                   .doc = "Uniform random numbers in [low, high).",
                   .inputs = {"state"},
                   .attrs = {shape, number("low", 0), number("high", 1), dtype_attr()},
                   .infer = infer_fill,
                   .forward = uniform_forward,
                   .formula = {"low + (high - low) u", "a + (b-a)u", {}},
                   .example = "rv.rand(3, generator=rv.Generator(0))"});
  declare_fill(r, {.name = "normal",
                   .doc = "Normal random numbers.",
                   .inputs = {"state"},
                   .attrs = {shape, number("mean", 0), number("std", 1), dtype_attr()},
                   .infer = infer_fill,
                   .forward = normal_forward,
                   .formula = normal,
                   .example = "rv.normal(0.0, 2.0, (3,), generator=rv.Generator(0))"});
  declare_fill(r, {.name = "normal_around",
                   .doc = "Normal random numbers, each with a mean and a deviation of its own.",
                   .inputs = {"state", "mean", "std"},
                   .infer = infer_normal_around,
                   .forward = normal_around_forward,
                   .formula = normal,
                   .example = "rv.normal(rv.arange(3.0), rv.ones(3))"});
  declare_fill(r, {.name = "exponential",
                   .doc = "Exponential random numbers, none of them 0.",
                   .inputs = {"state"},
                   .attrs = {shape, number("rate", 1), dtype_attr()},
                   .infer = infer_exponential,
                   .forward = exponential_forward,
                   .formula = {"-log(1 - u) / rate", R"(-\ln(1-u)/\lambda)", {}},
                   .example = "rv.empty(3).exponential_(2.0)"});
  declare_random_discrete(r);
}

}  // namespace ranvier
