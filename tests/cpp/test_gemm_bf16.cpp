// Products of bfloat16 numbers by the processor's own instruction: near the sums in float64, and
// the same bits for every layout, way and thread count.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/dtypes.h"
#include "gemm_problem.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/pairs.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

constexpr int64_t kGap = 5;  // columns between the rows of C, which nobody may write to
constexpr float kJunk = 12345;

std::vector<uint16_t> bits_of(const std::vector<float>& x) {
  std::vector<uint16_t> bits;
  for (const float v : x) bits.push_back(to_bfloat16(v).bits);
  return bits;
}
double value(uint16_t bits) { return static_cast<double>(to_float(BFloat16{bits})); }

struct PairProblem {
  int64_t m, n, k;
  std::vector<uint16_t> a, b;
  std::vector<float> start, bias;
  PairProblem(int64_t rows, int64_t cols, int64_t depth)
      : m(rows),
        n(cols),
        k(depth),
        a(bits_of(numbers<float>(m * k, 1))),
        b(bits_of(numbers<float>(k * n, 2))),
        start(numbers<float>(m * n, 3)),
        bias(numbers<float>(n, 4)) {}

  // `shift` elements away from where memory begins: pairs are then not aligned.
  std::vector<float> product(Layout la, Layout lb, bool accumulate, int64_t shift = 0) const {
    const auto [a_row, a_k] = strides_of(la, m, k);
    const auto [b_k, b_col] = strides_of(lb, k, n);
    std::vector<uint16_t> left = spread(a, m, k, a_row, a_k), right = spread(b, k, n, b_k, b_col);
    left.insert(left.begin(), size_t(shift), uint16_t(0x7fc0));
    right.insert(right.begin(), size_t(shift), uint16_t(0x7fc0));
    std::vector<float> c = spread(start, m, n, n + kGap, 1);
    c.resize(size_t(m * (n + kGap)), kJunk);
    PairGemm g{};
    g.m = m;
    g.n = n;
    g.k = k;
    g.a = left.data() + shift;
    g.a_row = a_row;
    g.a_k = a_k;
    g.b = right.data() + shift;
    g.b_k = b_k;
    g.b_col = b_col;
    g.c = c.data();
    g.c_row = n + kGap;
    g.accumulate = accumulate;
    g.bias = bias.data();
    gemm(g);
    expect_rounded(g);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = n; j < n + kGap; ++j) EXPECT_EQ(c[size_t(i * (n + kGap) + j)], kJunk);
    return c;
  }

  // The result as bfloat16, with a float32 result beside it and without.
  void expect_rounded(PairGemm g) const {
    if (g.accumulate) return;
    const float* const c = g.c;
    std::vector<float> beside(size_t(m * n) + 1, kJunk);
    for (float* const to : {beside.data(), static_cast<float*>(nullptr)}) {
      std::vector<uint16_t> bits(size_t(m * n) + 1, 77);
      g.c = to;
      g.c_row = n;
      g.rounded = bits.data();
      gemm(g);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j)
          ASSERT_EQ(bits[size_t(i * n + j)], to_bfloat16(c[i * (n + kGap) + j]).bits);
      ASSERT_EQ(bits.back(), 77);
    }
  }

  // A sum of k products and a bias, each addition rounded once.
  void expect_near(const std::vector<float>& c, bool accumulate) const {
    double worst = 0;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        const double first = accumulate ? double(start[size_t(i * n + j)]) : 0;
        double sum = first + double(bias[size_t(j)]);
        double size = std::abs(first) + std::abs(double(bias[size_t(j)]));
        for (int64_t p = 0; p < k; ++p) {
          const double term = value(a[size_t(i * k + p)]) * value(b[size_t(p * n + j)]);
          sum += term;
          size += std::abs(term);
        }
        const double error = std::abs(double(c[size_t(i * (n + kGap) + j)]) - sum);
        worst = std::max(worst, size > 0 ? error / size : error);
      }
    // Roundings of random sign: far fewer than k of them add up.
    EXPECT_LE(worst, 0x1p-24 * (2 + 2 * std::sqrt(double(k)))) << m << " x " << n << " x " << k;
  }
};

class PairGemms : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_pair_kernels()) GTEST_SKIP() << "no AVX512_BF16";
  }
  void TearDown() override {
    set_num_threads(threads_);
    set_grain(0);
  }

 private:
  int threads_ = num_threads();
};

TEST_F(PairGemms, EveryWayHasTheSameBits) {
  for (const auto& [m, n, k] : std::initializer_list<std::array<int64_t, 3>>{{1, 1, 1},
                                                                             {1, 40, 7},
                                                                             {1, 250, 33},
                                                                             {40, 1, 33},
                                                                             {7, 33, 65},
                                                                             {13, 300, 64},
                                                                             {3, 4100, 40},
                                                                             {96, 97, 1030},
                                                                             {17, 900, 1201},
                                                                             {5, 6, 0}}) {
    const PairProblem q(m, n, k);
    for (const bool accumulate : {false, true}) {
      set_num_threads(1);
      const std::vector<float> want = q.product(Layout::normal, Layout::normal, accumulate);
      q.expect_near(want, accumulate);
      for (const int threads : {1, 2, 3, 7}) {
        set_num_threads(threads);
        set_grain(threads % 2);
        for (const Layout la : kLayouts)
          for (const Layout lb : kLayouts) {
            const std::vector<float> got = q.product(la, lb, accumulate, threads % 3);
            ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
                << m << " x " << n << " x " << k << ", layouts " << int(la) << int(lb);
          }
      }
    }
  }
}

TEST_F(PairGemms, InfinitiesAndNaN) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (const int64_t k : {1, 2, 3, 8, 33})
    for (int64_t at = 0; at < k; ++at)
      for (const float odd : {inf, -inf, nan, 3e38f}) {
        PairProblem q(2, 40, k);
        q.a[size_t(at)] = to_bfloat16(odd).bits;  // of the first row only
        for (int64_t j = 0; j < q.n; ++j)
          q.b[size_t(at * q.n + j)] = to_bfloat16(j == 0 ? 0.0f : 2.0f).bits;
        const std::vector<float> c = q.product(Layout::normal, Layout::transposed, false);
        EXPECT_EQ(std::isnan(c[0]), !std::isfinite(odd));  // 0 times infinity
        EXPECT_TRUE(odd == 3e38f ? c[1] == inf : odd != odd ? c[1] != c[1] : c[1] == odd);
        for (int64_t j = 0; j < q.n; ++j) EXPECT_TRUE(std::isfinite(c[size_t(q.n + kGap + j)]));
      }
}

}  // namespace
}  // namespace ranvier
