// Shared by the ops that draw: a generator's state, and streams of uniform numbers from it. The
// same numbers come whoever draws them and however the work is cut.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "ops/op.h"

namespace ranvier {

inline constexpr int64_t kDrawn = 2048;  // numbers, at most, that are drawn at a time

struct State {
  uint64_t seed, position;
};

// Reads the state and moves it `used` counters on.
State take(const Tensor& state, int64_t used);
// Shape and type of the first input.
void check_state(const InferArgs& args);

// The random fills' attributes.
inline AttrDef required(const char* name, AttrKind kind) {
  return {.name = name, .kind = kind, .value = {}, .required = true};
}

// [0, 1) with 24 (53) random bits.
template <class T, class Words>
T unit(const Words& words, int i) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(words[static_cast<size_t>(i)] >> 8) * 0x1p-24f;
  } else {
    const auto at = static_cast<size_t>(2 * i);
    const uint64_t both = uint64_t{words[at]} << 32 | words[at + 1];
    return static_cast<double>(both >> 11) * 0x1p-53;
  }
}

// How many counters a fill of n numbers uses: each gives four floats or two doubles.
template <class T>
int64_t counters(int64_t n) {
  constexpr int64_t per = sizeof(T) == 4 ? 4 : 2;
  return (n + per - 1) / per;
}

// f(first, n, values): values[0..n) are the uniform numbers first..first+n of the fill.
template <class T, class F>
void draw(const State& state, int64_t n, F f) {
  constexpr int64_t per = sizeof(T) == 4 ? 4 : 2;
  parallel_for(counters<T>(n), kDrawn / per, [&](int64_t begin, int64_t end) {
    T values[kDrawn];
    alignas(64) uint32_t words[4 * kDrawn / per];
    kernel_table().philox(state.seed, state.position + static_cast<uint64_t>(begin),
                          (end - begin + kPhiloxBlock - 1) / kPhiloxBlock, words);
    for (int64_t i = 0; i < (end - begin) * per; ++i)
      values[i] = unit<T>(words, static_cast<int>(i));
    f(begin * per, std::min(n, end * per) - begin * per, values);
  });
}

// -log(1 - u), in place: standard exponential numbers. No element is 0: where u is, the middle of
// u's interval stands in.
template <class T>
void exponential_from(T* u, int64_t n) {
  constexpr T half_step = sizeof(T) == 4 ? T(0x1p-25) : T(0x1p-54);
  const MapFn log =
      kernel_table().forward[registry().find("log")->row][static_cast<int>(DTypeOf<T>::value)];
  for (int64_t i = 0; i < n; ++i) u[i] = T(1) - u[i];
  const void* in[] = {u};
  log(n, in, u, 0);
  for (int64_t i = 0; i < n; ++i) u[i] = u[i] == 0 ? half_step : -u[i];
}

}  // namespace ranvier
