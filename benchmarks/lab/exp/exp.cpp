// e^x of float32 numbers, from the C library's loop to what the library does: a ladder of versions,
// each checked against the first and timed. Nothing here is part of the library; csrc/kernels/cpu/
// math.inc is the version that won.
//
//   g++ -std=c++20 -O3 -ffp-contract=off benchmarks/lab/exp/exp.cpp -o exp && ./exp [elements]
//
// Prints for each version the time, elements a nanosecond, GB/s read and written, how many times as
// fast as the first it is, and its largest error in units of the last place.

// g++ 12 warns falsely about its own avx512fintrin.h.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr float kLog2e = 1.442695f;
constexpr float kLow = -104.5f, kHigh = 89.0f;  // e^x is 0 below and infinite above

// 1. The C library, one number after the other.
void library(int64_t n, const float* x, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

// 2. x = n ln2 + r, |r| <= ln2 / 2, and a polynomial for e^r: no table, no branch, and a compiler
// may make vectors of it. n ln2 is subtracted in two parts (Cody and Waite), the first of them
// exact.
constexpr float kLn2High = 0.69314575f, kLn2Low = 1.4286068e-06f;
constexpr float kTail[] = {0.49999994f, 0.16666521f, 0.041668274f, 0.008368683f, 0.0013820048f};

float one_by_polynomial(float x) {
  x = std::min(std::max(x, kLow), kHigh);
  const float n = std::nearbyint(x * kLog2e);
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float g = kTail[4];
  for (int i = 3; i >= 0; --i) g = g * r + kTail[i];
  const float p = (g * r + 1) * r + 1;
  return std::ldexp(p, static_cast<int>(n));
}
void polynomial(int64_t n, const float* x, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = one_by_polynomial(x[i]);
}

// 3. The same with 8 lanes and fused multiply-adds. 2^n is made of n's bits, in two factors as
// neither 2^128 nor 2^-149 fits into an exponent.
__attribute__((target("avx2,fma"))) inline __m256 power_of_2(__m256 n) {
  const __m256 magic = _mm256_set1_ps(0x1.8p23f + 127);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(_mm256_add_ps(n, magic)), 23));
}
__attribute__((target("avx2,fma"))) void lanes_8(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i + 8 <= count; i += 8) {
    __m256 v = _mm256_max_ps(_mm256_set1_ps(kLow), _mm256_loadu_ps(x + i));
    v = _mm256_min_ps(v, _mm256_set1_ps(kHigh));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(v, _mm256_set1_ps(kLog2e)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), v);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
    __m256 g = _mm256_set1_ps(kTail[4]);
    for (int k = 3; k >= 0; --k) g = _mm256_fmadd_ps(g, r, _mm256_set1_ps(kTail[k]));
    g = _mm256_fmadd_ps(g, r, _mm256_set1_ps(1));
    const __m256 p = _mm256_fmadd_ps(g, r, _mm256_set1_ps(1));
    const __m256 half = _mm256_floor_ps(_mm256_mul_ps(n, _mm256_set1_ps(0.5f)));
    const __m256 scaled = _mm256_mul_ps(p, power_of_2(half));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(scaled, power_of_2(_mm256_sub_ps(n, half))));
  }
  polynomial(count % 8, x + count / 8 * 8, y + count / 8 * 8);
}

#define LAB_AVX512 __attribute__((target("avx512f,avx512dq")))

// 4. The same with 16 lanes, whose processors multiply by 2^n in one instruction, subnormal results
// included. The tail is masked: the C library's numbers would differ from the vectors'.
LAB_AVX512 inline __m512 wide(__m512 x) {
  const __m512 v = _mm512_min_ps(_mm512_max_ps(_mm512_set1_ps(kLow), x), _mm512_set1_ps(kHigh));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, _mm512_set1_ps(kLog2e)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), v);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 g = _mm512_set1_ps(kTail[4]);
  for (int k = 3; k >= 0; --k) g = _mm512_fmadd_ps(g, r, _mm512_set1_ps(kTail[k]));
  g = _mm512_fmadd_ps(g, r, _mm512_set1_ps(1));
  return _mm512_scalef_ps(_mm512_fmadd_ps(g, r, _mm512_set1_ps(1)), n);
}

// 5. What counts is multiplications: a vector of version 4 has 11. With 2^(k/16) from a table that
// is one register, |r| <= ln2 / 32 and two coefficients are enough: 7 are left. Adding 1.5 2^19
// rounds to 16ths and leaves k in the low bits, where the look-up wants it. ln2 is cut shorter, as
// n has four more bits.
alignas(64) constexpr float kRoots[] = {
    1.0f,       1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f, 1.2968396f, 1.3542556f,
    1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f, 1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
LAB_AVX512 inline __m512 looked_up(__m512 x) {
  const __m512 magic = _mm512_set1_ps(0x1.8p19f);
  const __m512 v = _mm512_min_ps(_mm512_max_ps(_mm512_set1_ps(kLow), x), _mm512_set1_ps(kHigh));
  const __m512 i = _mm512_fmadd_ps(v, _mm512_set1_ps(kLog2e), magic);
  const __m512 n = _mm512_sub_ps(i, magic);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.69311523f), v);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(3.1946183e-05f), r);
  const __m512 root = _mm512_permutexvar_ps(_mm512_castps_si512(i), _mm512_load_ps(kRoots));
  __m512 g = _mm512_fmadd_ps(_mm512_set1_ps(0.16666836f), r, _mm512_set1_ps(0.5000162f));
  g = _mm512_fmadd_ps(g, r, _mm512_set1_ps(1));
  return _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_mul_ps(root, r), g, root), n);
}

template <__m512 (*F)(__m512)>
LAB_AVX512 void masked(int64_t count, const float* x, float* y) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(y + i, F(_mm512_loadu_ps(x + i)));
  const auto mask = static_cast<__mmask16>((1u << (count - i)) - 1);
  _mm512_mask_storeu_ps(y + i, mask, F(_mm512_maskz_loadu_ps(mask, x + i)));
}
LAB_AVX512 void lanes_16(int64_t count, const float* x, float* y) { masked<wide>(count, x, y); }
LAB_AVX512 void table_16(int64_t count, const float* x, float* y) {
  masked<looked_up>(count, x, y);
}

struct Version {
  const char* name;
  void (*run)(int64_t, const float*, float*);
  bool present;
};

double median_seconds(const Version& version, const std::vector<float>& x, std::vector<float>& y) {
  std::vector<double> times;
  for (int round = 0; round < 31; ++round) {
    const auto start = std::chrono::steady_clock::now();
    version.run(static_cast<int64_t>(x.size()), x.data(), y.data());
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + 15, times.end());
  return times[15];
}

double largest_error(const std::vector<float>& x, const std::vector<float>& y) {
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const double place = std::ldexp(1.0, std::max(std::ilogb(exact) - 23, -149));
    most = std::max(most, std::fabs(y[i] - exact) / place);
  }
  return most;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100000;
  std::vector<float> x(n), y(n);
  uint32_t state = 1;
  for (float& v : x) {  // between -100 and 88
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / 16777216.0f * 188 - 100;
  }
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  const Version versions[] = {{"1 C library", library, true},
                              {"2 polynomial", polynomial, true},
                              {"3 AVX2, 8 lanes", lanes_8, avx2},
                              {"4 AVX-512, 16 lanes", lanes_16, avx512},
                              {"5 AVX-512 and 16 roots", table_16, avx512}};
  std::printf("%zu elements, one thread\n%-24s%10s%8s%8s%8s%8s\n", n, "", "us", "el/ns", "GB/s",
              "times", "ulp");
  double first = 0;
  bool right = true;
  for (const Version& version : versions) {
    if (!version.present) continue;
    const double seconds = median_seconds(version, x, y), error = largest_error(x, y);
    if (first == 0) first = seconds;
    right = right && error <= 2;
    std::printf("%-24s%10.1f%8.2f%8.1f%8.1f%8.2f\n", version.name, seconds * 1e6,
                static_cast<double>(n) / seconds / 1e9, static_cast<double>(n) * 8 / seconds / 1e9,
                first / seconds, error);
  }
  if (!right) std::printf("expected errors of at most 2 units of the last place\n");
  return right ? 0 : 1;
}
