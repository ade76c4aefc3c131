// A matrix product in six steps, from three loops to the limit of the machine. Every step gives
// the bits of the first: an element of C is one chain of fused multiply-adds over k. The library's
// own product (csrc/kernels/cpu/gemm.cpp) is the last step with tails, layouts and small sizes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 12;
#else
constexpr int kLanes = 8, kRows = 6;
#endif
using Vector = float __attribute__((vector_size(kLanes * 4), aligned(4)));
constexpr int kVectors = 2, kWidth = kLanes * kVectors;
constexpr int64_t kBlock = 512;

// C (n, n) = A (n, n) B (n, n), all row-major; n is a multiple of kRows and of kWidth.
using Product = void (*)(int64_t n, const float* a, const float* b, float* c);

void naive(int64_t n, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < n; ++k) sum = std::fma(a[i * n + k], b[k * n + j], sum);
      c[i * n + j] = sum;
    }
}

// The innermost loop runs along rows of B and C: memory in its order, and vectors for the compiler.
void rows(int64_t n, const float* a, const float* b, float* c) {
  std::fill_n(c, n * n, 0.0f);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < n; ++k)
      for (int64_t j = 0; j < n; ++j)
        c[i * n + j] = std::fma(a[i * n + k], b[k * n + j], c[i * n + j]);
}

// A block of B is used by all rows while it is in the cache.
void blocked(int64_t n, const float* a, const float* b, float* c) {
  constexpr int64_t kK = 64, kN = 512;
  std::fill_n(c, n * n, 0.0f);
  for (int64_t k0 = 0; k0 < n; k0 += kK)
    for (int64_t j0 = 0; j0 < n; j0 += kN)
      for (int64_t i = 0; i < n; ++i)
        for (int64_t k = k0; k < std::min(n, k0 + kK); ++k)
          for (int64_t j = j0; j < std::min(n, j0 + kN); ++j)
            c[i * n + j] = std::fma(a[i * n + k], b[k * n + j], c[i * n + j]);
}

// kRows x kWidth numbers of C stay in registers: a load of B serves kRows multiply-adds, one of A
// serves kVectors, and there are enough chains to fill the multipliers while each waits for itself.
inline __attribute__((always_inline)) void tile(int64_t k, const float* a, int64_t a_row,
                                                const float* b, int64_t b_k, float* c,
                                                int64_t c_row, bool accumulate) {
  Vector sum[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j)
      sum[i][j] =
          accumulate ? *reinterpret_cast<const Vector*>(c + i * c_row + j * kLanes) : Vector{};
  for (int64_t p = 0; p < k; ++p, b += b_k) {
    Vector row[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) row[j] = *reinterpret_cast<const Vector*>(b + j * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) sum[i][j] = a[i * a_row + p] * row[j] + sum[i][j];
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j)
      *reinterpret_cast<Vector*>(c + i * c_row + j * kLanes) = sum[i][j];
}

void registers(int64_t n, const float* a, const float* b, float* c) {
  for (int64_t j = 0; j < n; j += kWidth)
    for (int64_t i = 0; i < n; i += kRows) tile(n, a + i * n, n, b + j, n, c + i * n + j, n, false);
}

// Columns [j0, j1): for each block of k, panels of B are copied so that a tile reads them from end
// to end, without rows that take each other's place in the cache; a later block goes on from C.
void packed_part(int64_t n, int64_t j0, int64_t j1, const float* a, const float* b, float* c) {
  std::vector<float> panel(size_t(kBlock * kWidth));
  for (int64_t i0 = 0; i0 < n; i0 += kBlock / kRows * kRows)
    for (int64_t k0 = 0; k0 < n; k0 += kBlock) {
      const int64_t k = std::min(kBlock, n - k0), i1 = std::min(n, i0 + kBlock / kRows * kRows);
      for (int64_t j = j0; j < j1; j += kWidth) {
        for (int64_t p = 0; p < k; ++p)
          std::memcpy(&panel[size_t(p * kWidth)], b + (k0 + p) * n + j, kWidth * sizeof(float));
        for (int64_t i = i0; i < i1; i += kRows)
          tile(k, a + i * n + k0, n, panel.data(), kWidth, c + i * n + j, n, k0 > 0);
      }
    }
}
void packed(int64_t n, const float* a, const float* b, float* c) { packed_part(n, 0, n, a, b, c); }

// Threads share the columns; nobody waits for anybody before the end.
void threads(int64_t n, const float* a, const float* b, float* c) {
  const int64_t step = 2 * kWidth;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t j = 0; j < n; j += step) packed_part(n, j, std::min(n, j + step), a, b, c);
}

// Multiply-adds on registers alone, counted as two operations each: operations in a second.
double peak() {
  Vector sum[12] = {}, x = {}, y = {};
  for (int i = 0; i < kLanes; ++i) x[i] = 0.9f, y[i] = 0.1f;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    constexpr int64_t kSteps = 4'000'000;
    for (int64_t step = 0; step < kSteps; ++step)
#pragma GCC unroll 12
      for (Vector& s : sum) s = x * s + y;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * 12 * kLanes * double(kSteps) / took.count());
  }
  float total = 0;
  for (const Vector& s : sum) total += s[0];
  volatile float keep = total;
  static_cast<void>(keep);
  return best;
}

double median_seconds(Product product, int64_t n, const float* a, const float* b, float* c) {
  std::vector<double> times;
  double total = 0;
  while (times.size() < 3 || (total < 0.5 && times.size() < 200)) {
    const auto start = std::chrono::steady_clock::now();
    product(n, a, b, c);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
    total += took.count();
  }
  std::nth_element(times.begin(), times.begin() + long(times.size() / 2), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  struct Step {
    const char* name;
    Product product;
  };
  constexpr Step kSteps[] = {{"naive", naive},         {"rows", rows},     {"blocked", blocked},
                             {"registers", registers}, {"packed", packed}, {"threads", threads}};
  const int64_t asked = argc > 1 ? std::atoll(argv[1]) : 960;
  const int64_t unit = std::lcm(kRows, kWidth),
                n = std::max<int64_t>((asked + unit - 1) / unit, 1) * unit;
  std::mt19937 random(1);
  std::normal_distribution<float> draw;
  std::vector<float> a(size_t(n * n)), b(a.size()), first(a.size()), c(a.size());
  for (float& x : a) x = draw(random);
  for (float& x : b) x = draw(random);
  const double limit = peak();
  std::printf("%lld x %lld, %d lanes; one thread's peak %.0f GFLOP/s\n", static_cast<long long>(n),
              static_cast<long long>(n), kLanes, limit / 1e9);
  for (const Step& step : kSteps) {
    float* const to = step.product == naive ? first.data() : c.data();
    const double seconds = median_seconds(step.product, n, a.data(), b.data(), to);
    const double speed = 2.0 * double(n) * double(n) * double(n) / seconds;
    const bool same = std::memcmp(to, first.data(), first.size() * sizeof(float)) == 0;
    std::printf("%-10s %10.2f ms %8.1f GFLOP/s %6.1f %% of the peak%s\n", step.name, seconds * 1e3,
                speed / 1e9, 100 * speed / limit, same ? "" : "   DIFFERENT BITS");
    if (!same) return 1;
  }
}
