// Random fills. An op takes the generator's state (seed, position), draws, and moves it on, so the
// same numbers come whoever draws them and however the work is cut.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "ops/families.h"
#include "ops/op.h"

namespace ranvier {
namespace {

constexpr int64_t kPairs = 1024;  // of numbers, drawn at a time

// [0, 1) with 24 (53) random bits.
template <class T>
T unit(const std::array<uint32_t, 4>& words, int i) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(words[i] >> 8) * 0x1p-24f;
  } else {
    const uint64_t both = uint64_t{words[2 * i]} << 32 | words[2 * i + 1];
    return static_cast<double>(both >> 11) * 0x1p-53;
  }
}

// How many counters a fill of n numbers uses: each gives four floats or two doubles.
template <class T>
int64_t counters(int64_t n) {
  constexpr int64_t per = sizeof(T) == 4 ? 4 : 2;
  return (n + per - 1) / per;
}

struct State {
  uint64_t seed, position;
};

// Reads the state and moves it `used` counters on.
State take(const Tensor& state, int64_t used) {
  if (!state.is_contiguous())
    fail(ErrorKind::shape, "[random] expected a generator's state in adjacent memory, got strides ",
         to_string(state.strides()));
  int64_t* p = state.data<int64_t>();
  const State before = {static_cast<uint64_t>(p[0]), static_cast<uint64_t>(p[1])};
  p[1] = static_cast<int64_t>(before.position + static_cast<uint64_t>(used));
  return before;
}

// f(first, n, values): values[0..n) are the uniform numbers first..first+n of the fill.
template <class T, class F>
void draw(const State& state, int64_t n, F f) {
  constexpr int64_t per = sizeof(T) == 4 ? 4 : 2;
  parallel_for(counters<T>(n), kPairs * 2 / per, [&](int64_t begin, int64_t end) {
    T values[kPairs * 2];
    for (int64_t c = begin; c < end; ++c) {
      const auto words = philox(state.seed, state.position + static_cast<uint64_t>(c));
      for (int i = 0; i < per; ++i) values[(c - begin) * per + i] = unit<T>(words, i);
    }
    f(begin * per, std::min(n, end * per) - begin * per, values);
  });
}

void uniform_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const double low = args.number(1), high = args.number(2);
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const State state = take(args.in[0], counters<T>(out.numel()));
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, const T* u) {
      T* to = out.data<T>() + first;
      const T width = static_cast<T>(high - low), start = static_cast<T>(low);
      const T most = std::nextafter(static_cast<T>(high), start);  // the sum may round up to high
      for (int64_t i = 0; i < n; ++i) to[i] = std::min(start + width * u[i], most);
    });
  });
}

// Numbers 2i and 2i + 1 of the stream give normal numbers 2i and 2i + 1.
void normal_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const State state = take(args.in[0], counters<T>(out.numel()));
    const T mean = static_cast<T>(args.number(1)), std = static_cast<T>(args.number(2));
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, const T* u) {
      T a[kPairs], b[kPairs], z0[kPairs], z1[kPairs];
      const int64_t pairs = (n + 1) / 2;
      for (int64_t i = 0; i < pairs; ++i) {
        a[i] = u[2 * i];
        b[i] = u[2 * i + 1];
      }
      kernels<T>().box_muller(pairs, a, b, z0, z1);
      T* to = out.data<T>() + first;
      for (int64_t i = 0; i < n; ++i) {
        const T* z = i % 2 ? z1 : z0;
        to[i] = mean + std * z[i / 2];
      }
    });
  });
}

// Uniform over [0, range) from 64 random bits: the high word of a 64 x 64 product (Lemire, "Fast
// random integer generation in an interval", 2019, without the rejection: bias below range / 2^64).
uint64_t below(uint64_t range, uint64_t seed, uint64_t counter) {
  const auto words = philox(seed, counter);
  const uint64_t bits = uint64_t{words[0]} << 32 | words[1];
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(bits) * range >> 64);
}

void integers_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const int64_t low = args.integer(1), high = args.integer(2);
  const State state = take(args.in[0], out.numel());
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  int64_t* to = out.data<int64_t>();
  for (int64_t i = 0; i < out.numel(); ++i)
    to[i] =
        static_cast<int64_t>(static_cast<uint64_t>(low) +
                             below(range, state.seed, state.position + static_cast<uint64_t>(i)));
}

// Durstenfeld's form of the Fisher-Yates shuffle (CACM 7, algorithm 235, 1964).
void permutation_forward(const ForwardArgs& args) {
  const int64_t n = args.integer(0);
  int64_t* p = args.out[0].data<int64_t>();
  std::iota(p, p + n, int64_t{0});
  const State state = take(args.in[0], n);
  for (int64_t i = n - 1; i > 0; --i) {
    const uint64_t j = below(static_cast<uint64_t>(i + 1), state.seed,
                             state.position + static_cast<uint64_t>(n - 1 - i));
    std::swap(p[i], p[j]);
  }
}

void check_state(const InferArgs& args) {
  if (!(args.in[0].shape == Dims{2}) || args.in[0].dtype != DType::int64)
    args.mismatch("a generator's state, int64 (2,)");
}

Metas infer_fill(const InferArgs& args) {
  check_state(args);
  const auto dtype = static_cast<DType>(args.integer(3));
  if (args.integer(3) < 0 || args.integer(3) >= kDTypes || !is_floating(dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected float32 or float64");
  const double a = args.number(1), b = args.number(2);
  const double most = dtype == DType::float32 ? double{std::numeric_limits<float>::max()}
                                              : std::numeric_limits<double>::max();
  const bool normal = args.op().name == "normal";
  const bool fits = std::abs(a) <= most && std::abs(b) <= most;
  if (!fits || (normal ? b < 0 : !(a <= b && b - a <= most)))
    fail(ErrorKind::value, "[", args.op().name, "] expected ",
         normal ? "a finite mean and a deviation of at least 0" : "finite bounds, low first",
         " in the range of ", name_of(dtype), ", got ", a, " and ", b);
  return {{args.dims(0), dtype}};
}

AttrDef required(const char* name, AttrKind kind) {
  return {.name = name, .kind = kind, .value = {}, .required = true};
}

}  // namespace

void declare_random(Registry& r) {
  const auto fill = [&](const char* name, const char* doc, const char* first, const char* second,
                        double b, void (*forward)(const ForwardArgs&), Formula formula) {
    r.add({.name = name,
           .doc = doc,
           .inputs = {"state"},
           .attrs = {required("shape", AttrKind::integers),
                     {.name = first, .kind = AttrKind::number, .value = 0.0},
                     {.name = second, .kind = AttrKind::number, .value = b},
                     {.name = "dtype",
                      .kind = AttrKind::dtype,
                      .value = static_cast<int64_t>(DType::float32)}},
           .infer = infer_fill,
           .forward = forward,
           .mutates = {"state"},
           .differentiable = false,
           .formula = std::move(formula),
           .example = "rv." + std::string(name) + "(rv.Generator(0).state, [3])"});
  };
  fill("uniform", "Uniform random numbers in [low, high).", "low", "high", 1.0, uniform_forward,
       {"low + (high - low) u", "a + (b-a)u", {}});
  fill("normal", "Normal random numbers.", "mean", "std", 1.0, normal_forward,
       {"mean + std sqrt(-2 log(1 - u)) cos(2 pi v)",
        R"(\mu+\sigma\sqrt{-2\ln(1-u)}\cos 2\pi v)",
        {}});
  r.add({.name = "integers",
         .doc = "Uniform random integers in [low, high).",
         .inputs = {"state"},
         .attrs = {required("shape", AttrKind::integers), required("low", AttrKind::integer),
                   required("high", AttrKind::integer)},
         .infer = [](const InferArgs& args) -> Metas {
           check_state(args);
           if (args.integer(1) >= args.integer(2))
             fail(ErrorKind::value, "[integers] expected low < high, got ", args.integer(1),
                  " and ", args.integer(2));
           return {{args.dims(0), DType::int64}};
         },
         .forward = integers_forward,
         .mutates = {"state"},
         .differentiable = false,
         .formula = {"low + floor((high - low) u)", R"(a + \lfloor (b-a)u \rfloor)", {}},
         .example = "rv.integers(rv.Generator(0).state, [3], 0, 10)"});
  r.add({.name = "permutation",
         .doc = "The integers 0 to n - 1 in random order.",
         .inputs = {"state"},
         .attrs = {required("n", AttrKind::integer)},
         .infer = [](const InferArgs& args) -> Metas {
           check_state(args);
           return {{{args.integer(0)}, DType::int64}};
         },
         .forward = permutation_forward,
         .mutates = {"state"},
         .differentiable = false,
         .formula = {"a random order of 0 .. n-1", R"(\pi \in S_n)", {}},
         .example = "rv.permutation(rv.Generator(0).state, 5)"});
}

}  // namespace ranvier
