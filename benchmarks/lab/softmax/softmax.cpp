// Softmax over rows of float32, from three loops to what the library does: a ladder of versions,
// each compared with the exact result and timed. Nothing here is part of the library;
// csrc/kernels/cpu/softmax.inc holds the version that won.
//
//   g++ -std=c++20 -O3 -march=native -ffp-contract=fast benchmarks/lab/softmax/softmax.cpp -o
//   softmax
//   ./softmax              rows of 1000; or: ./softmax [elements in a row] [rows]
//
// Prints for each version the time, elements a nanosecond, GB/s that a call must read and write,
// how many times as fast as the first it is, and the largest error as a share of the result.

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

namespace {

constexpr int kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
using Bits = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

// The first m numbers of a row, `rest` behind them: with AVX-512, one instruction.
#ifdef __AVX512F__
__mmask16 first(int64_t m) { return static_cast<__mmask16>(m >= kLanes ? 0xffff : (1 << m) - 1); }
Lanes load(const float* x, int64_t m, float rest) {
  return (Lanes)_mm512_mask_loadu_ps(_mm512_set1_ps(rest), first(m), x);
}
void store(float* y, int64_t m, Lanes v) { _mm512_mask_storeu_ps(y, first(m), (__m512)v); }
#else
Lanes load(const float* x, int64_t m, float rest) {
  Lanes v = rest - Lanes{};
  if (m >= kLanes)
    std::memcpy(&v, x, sizeof v);
  else
    for (int i = 0; i < m; ++i) v[i] = x[i];
  return v;
}
void store(float* y, int64_t m, Lanes v) {
  if (m >= kLanes)
    std::memcpy(y, &v, sizeof v);
  else
    for (int i = 0; i < m; ++i) y[i] = v[i];
}
#endif
template <class F>
float across(Lanes v, F f) {
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) v[i] = f(v[i], v[i + step]);
  return v[0];
}
float largest_of(Lanes v) {
  return across(v, [](float a, float b) { return a > b ? a : b; });
}
float sum_of(Lanes v) {
  return across(v, [](float a, float b) { return a + b; });
}
Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

// e^x for x <= 0: see the lab of exp. 0 below -87, where results would be subnormal.
Lanes exp(Lanes x) {
  const Lanes low = -87.0f - Lanes{}, magic = 0x1.8p23f - Lanes{};
  const Lanes v = x < low ? low : x;
  const Lanes shifted = v * 1.442695f + magic, n = shifted - magic;
  const Lanes r = (v - n * 0.69314575f) - n * 1.4286068e-06f;
  Lanes g = r * 0.0013820048f + 0.008368683f;
  g = g * r + 0.041668274f;
  g = g * r + 0.16666521f;
  g = g * r + 0.49999994f;
  const Lanes p = (g * r + 1.0f) * r + 1.0f;
  Bits bits, exponent;
  std::memcpy(&bits, &p, sizeof p);
  std::memcpy(&exponent, &shifted, sizeof shifted);
  bits += exponent << 23;
  Lanes y;
  std::memcpy(&y, &bits, sizeof y);
  return x < low ? Lanes{} : y;
}

// 1. The definition, with the largest number subtracted so that no power overflows.
void definition(int64_t rows, int64_t n, const float* x, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = *std::max_element(x, x + n);
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - most);
    for (int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i] - most) / sum;
  }
}

// 2. Each power is computed once and kept in the result.
void kept(int64_t rows, int64_t n, const float* x, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = *std::max_element(x, x + n);
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - most);
    for (int64_t i = 0; i < n; ++i) y[i] /= sum;
  }
}

// 3. Sixteen lanes in all three loops, and one division a row.
void vectors(int64_t rows, int64_t n, const float* x, float* y) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    Lanes most = kLowest - Lanes{}, sum{};
    for (int64_t i = 0; i < n; i += kLanes) most = larger(load(x + i, n - i, kLowest), most);
    const float shift = largest_of(most);
    for (int64_t i = 0; i < n; i += kLanes) {
      const Lanes e = exp(load(x + i, n - i, kLowest) - shift);
      store(y + i, n - i, e);
      sum += e;
    }
    const float scale = 1 / sum_of(sum);
    for (int64_t i = 0; i < n; i += kLanes) store(y + i, n - i, load(y + i, n - i, 0) * scale);
  }
}

// 4. Largest and sum in one loop: where a larger number comes, the sum so far is scaled down
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). One loop less over
// x, and two powers for each vector in place of one.
void online(int64_t rows, int64_t n, const float* x, float* y) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    Lanes most = -1e30f - Lanes{}, sum{};
    for (int64_t i = 0; i < n; i += kLanes) {
      const Lanes v = load(x + i, n - i, kLowest), next = larger(v, most);
      sum = sum * exp(most - next) + exp(v - next);
      most = next;
    }
    const float shift = largest_of(most);
    const float scale = 1 / sum_of(sum * exp(most - shift));
    for (int64_t i = 0; i < n; i += kLanes)
      store(y + i, n - i, exp(load(x + i, n - i, kLowest) - shift) * scale);
  }
}

// 5. As 3, with two running maxima, as each waits for its last result; and a row that fits into one
// vector never leaves it.
void pairs(int64_t rows, int64_t n, const float* x, float* y) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    if (n <= kLanes) {
      const Lanes v = load(x, n, kLowest), e = exp(v - largest_of(v));
      store(y, n, e * (1 / sum_of(e)));
      continue;
    }
    Lanes most = kLowest - Lanes{}, other = most, sum{};
    int64_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      most = larger(load(x + i, kLanes, kLowest), most);
      other = larger(load(x + i + kLanes, kLanes, kLowest), other);
    }
    for (; i < n; i += kLanes) most = larger(load(x + i, n - i, kLowest), most);
    const float shift = largest_of(larger(most, other));
    const int64_t whole = n / kLanes * kLanes;
    for (i = 0; i < whole; i += kLanes) {
      const Lanes e = exp(load(x + i, kLanes, 0) - shift);
      store(y + i, kLanes, e);
      sum += e;
    }
    const Lanes last = exp(load(x + whole, n - whole, kLowest) - shift);
    const float scale = 1 / sum_of(sum + last);
    store(y + whole, n - whole, last * scale);
    for (i = 0; i < whole; i += kLanes) store(y + i, kLanes, load(y + i, kLanes, 0) * scale);
  }
}

struct Version {
  const char* name;
  void (*run)(int64_t, int64_t, const float*, float*);
};

double median_seconds(const Version& version, int64_t rows, int64_t n, const std::vector<float>& x,
                      std::vector<float>& y) {
  std::vector<double> times;
  for (int round = 0; round < 15; ++round) {
    const auto start = std::chrono::steady_clock::now();
    version.run(rows, n, x.data(), y.data());
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + 7, times.end());
  return times[7];
}

// Of results above 1e-30, relative to them.
double largest_error(int64_t rows, int64_t n, const std::vector<float>& x,
                     const std::vector<float>& y) {
  double most = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float *row = x.data() + r * n, *got = y.data() + r * n;
    const double shift = *std::max_element(row, row + n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(row[i]) - shift);
    for (int64_t i = 0; i < n; ++i) {
      const double exact = std::exp(static_cast<double>(row[i]) - shift) / sum;
      if (exact > 1e-30) most = std::max(most, std::fabs(got[i] - exact) / exact);
    }
  }
  return most;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t n = argc > 1 ? std::max(1L, std::atol(argv[1])) : 1000;
  const int64_t rows = argc > 2 ? std::max(1L, std::atol(argv[2])) : 256;
  std::vector<float> x(static_cast<size_t>(rows * n)), y(x.size());
  uint32_t state = 1;
  for (float& v : x) {  // between -8 and 8
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / 16777216.0f * 16 - 8;
  }
  const Version versions[] = {{"1 definition", definition},
                              {"2 powers are kept", kept},
                              {"3 vectors", vectors},
                              {"4 largest and sum at once", online},
                              {"5 two maxima, short rows", pairs}};
  const auto elements = static_cast<double>(x.size());
  std::printf("%ld rows of %ld, one thread\n%-28s%10s%8s%8s%8s%10s\n", static_cast<long>(rows),
              static_cast<long>(n), "", "us", "el/ns", "GB/s", "times", "error");
  double first = 0;
  bool right = true;
  for (const Version& version : versions) {
    const double seconds = median_seconds(version, rows, n, x, y);
    const double error = largest_error(rows, n, x, y);
    if (first == 0) first = seconds;
    right = right && error < 1e-4;
    std::printf("%-28s%10.1f%8.2f%8.1f%8.1f%10.1e\n", version.name, seconds * 1e6,
                elements / seconds / 1e9, elements * 8 / seconds / 1e9, first / seconds, error);
  }
  if (!right) std::printf("expected errors below 1e-4 of each result\n");
  return right ? 0 : 1;
}
