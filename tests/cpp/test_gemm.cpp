// Every element of a product is one chain of fused multiply-adds over k: compared bit by bit with
// std::fma, for every instruction set, layout, path, thread count and grain. Base x86-64 has no
// FMA: there the chain rounds product and sum, and is compared with exactly that.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "gemm_problem.h"
#include "kernels/cpu/gemm.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

constexpr int kGap = 5;  // columns between the rows of C, which nobody may write to

template <class T>
void check(const Problem<T>& q, const std::vector<T>& want, bool accumulate, Layout la, Layout lb,
           const std::string& what) {
  const auto [a_row, a_k] = strides_of(la, q.m, q.k);
  const auto [b_k, b_col] = strides_of(lb, q.k, q.n);
  const std::vector<T> a = spread(q.a, q.m, q.k, a_row, a_k), b = spread(q.b, q.k, q.n, b_k, b_col);
  const int64_t c_row = q.n + kGap;
  std::vector<T> c = spread(q.start, q.m, q.n, c_row, 1);
  c.resize(size_t(q.m * c_row), T(12345));
  gemm(Gemm<T>{.m = q.m,
               .n = q.n,
               .k = q.k,
               .a = a.data(),
               .a_row = a_row,
               .a_k = a_k,
               .b = b.data(),
               .b_k = b_k,
               .b_col = b_col,
               .c = c.data(),
               .c_row = c_row,
               .accumulate = accumulate});
  for (int64_t i = 0; i < q.m; ++i) {
    ASSERT_EQ(std::memcmp(&c[size_t(i * c_row)], &want[size_t(i * q.n)], size_t(q.n) * sizeof(T)),
              0)
        << what << ": row " << i << " of " << q.m << " x " << q.n << " x " << q.k << ", layouts "
        << int(la) << int(lb) << (accumulate ? ", accumulating" : "");
    for (int64_t j = q.n; j < c_row; ++j)
      ASSERT_EQ(c[size_t(i * c_row + j)], T(12345)) << what << ": beside row " << i;
  }
}

class Gemms : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    isa_ = current_isa();
    threads_ = num_threads();
    set_isa(GetParam());
  }
  void TearDown() override {
    set_isa(isa_);
    set_num_threads(threads_);
    set_grain(0);
  }
  bool fused() const { return GetParam() != "base"; }

  template <class T>
  void all_ways(int64_t m, int64_t n, int64_t k, bool every_layout = true) {
    const Problem<T> q(m, n, k);
    for (const bool accumulate : {false, true}) {
      const std::vector<T> want = q.chains(fused(), accumulate);
      for (const Layout la : kLayouts)
        for (const Layout lb : kLayouts) {
          const bool plain = la == lb || la == Layout::normal || lb == Layout::normal;
          if (!every_layout && !plain) continue;
          check(q, want, accumulate, la, lb, GetParam());
          if (HasFatalFailure()) return;
        }
      for (const int threads : {1, 2, 3, 7}) {
        set_num_threads(threads);
        for (const int64_t grain : {0, 1}) {
          set_grain(grain);
          check(q, want, accumulate, Layout::normal, Layout::normal, "threads");
          check(q, want, accumulate, Layout::transposed, Layout::transposed, "threads");
          if (HasFatalFailure()) return;
        }
      }
      set_grain(0);
    }
  }

 private:
  std::string isa_;
  int threads_ = 1;
};

TEST_P(Gemms, Tails) {
  for (int64_t m = 1; m <= 14; ++m)
    for (int64_t n = 1; n <= 34; n += (n < 9 || n > 13) ? 1 : 3) {
      const Problem<float> q(m, n, 3);
      const Problem<double> d(m, n, 3);
      const auto wf = q.chains(fused(), true);
      const auto wd = d.chains(fused(), true);
      for (const Layout lb : kLayouts) {
        check(q, wf, true, Layout::normal, lb, "tails");
        check(d, wd, true, Layout::transposed, lb, "tails");
        if (HasFatalFailure()) return;
      }
    }
}

TEST_P(Gemms, ShapesOfTheDesign) {
  const int64_t shapes[][3] = {{1, 1, 1},    {7, 300, 100}, {3, 3, 5000},    {96, 384, 96},
                               {17, 33, 65}, {50, 10, 100}, {128, 128, 1000}};
  for (const auto& [m, n, k] : shapes) {
    all_ways<float>(m, n, k);
    all_ways<double>(m, n, k);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Gemms, LargeWithSeveralBlocks) {
  all_ways<float>(200, 97, 1030, false);
  all_ways<double>(200, 65, 1030, false);
#ifndef __SANITIZE_ADDRESS__  // the scalar chains take a minute there
  all_ways<float>(333, 777, 555, false);
#endif
}

TEST_P(Gemms, ThinOnes) {
  for (const auto& [m, n, k] : std::initializer_list<std::array<int64_t, 3>>{{1, 1000, 300},
                                                                             {1, 1, 4000},
                                                                             {1000, 1, 300},
                                                                             {2, 5000, 7},
                                                                             {5, 4200, 40},
                                                                             {600, 2, 513},
                                                                             {4, 1024, 600},
                                                                             {5, 1024, 600},
                                                                             {1, 1024, 1024},
                                                                             {1, 128, 784},
                                                                             {1, 250, 300},
                                                                             {200, 17, 1}}) {
    all_ways<float>(m, n, k, false);
    all_ways<double>(m, n, k, false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Gemms, NothingToDo) {
  float c[4] = {1, 2, 3, 4};
  const float bias[2] = {5, 6};
  Gemm<float> g{.m = 2,
                .n = 2,
                .k = 0,
                .a = nullptr,
                .a_row = 0,
                .a_k = 0,
                .b = nullptr,
                .b_k = 0,
                .b_col = 1,
                .c = c,
                .c_row = 2,
                .accumulate = true};
  gemm(g);
  EXPECT_EQ(c[3], 4);
  g.accumulate = false;
  g.bias = bias;
  gemm(g);
  EXPECT_EQ(c[0], 5);
  EXPECT_EQ(c[3], 6);
  g.m = 0;
  g.c = nullptr;
  gemm(g);
  g.m = 2;
  g.n = 0;
  gemm(g);
}

// Bias and activation come after the chain, each rounded once.
template <class T>
void check_epilogue(bool fused, int64_t m, int64_t n, int64_t k) {
  const Problem<T> q(m, n, k);
  const std::vector<T> bias = numbers<T>(n, 4);
  std::vector<T> want = q.chains(fused, false);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) want[size_t(i * n + j)] += bias[size_t(j)];
  const MapFn tanh = kernel_table().forward[static_cast<int>(Row::tanh)][sizeof(T) == 8];
  const void* in[] = {want.data()};
  tanh(m * n, in, want.data(), 0);
  for (const Layout lb : {Layout::normal, Layout::transposed}) {
    const auto [b_k, b_col] = strides_of(lb, k, n);
    const std::vector<T> b = spread(q.b, k, n, b_k, b_col);
    std::vector<T> c(size_t(m * (n + kGap)), T(12345));
    gemm(Gemm<T>{.m = m,
                 .n = n,
                 .k = k,
                 .a = q.a.data(),
                 .a_row = k,
                 .a_k = 1,
                 .b = b.data(),
                 .b_k = b_k,
                 .b_col = b_col,
                 .c = c.data(),
                 .c_row = n + kGap,
                 .bias = bias.data(),
                 .activation = tanh});
    for (int64_t i = 0; i < m; ++i) {
      ASSERT_EQ(
          std::memcmp(&c[size_t(i * (n + kGap))], &want[size_t(i * n)], size_t(n) * sizeof(T)), 0)
          << "row " << i;
      for (int64_t j = n; j < n + kGap; ++j) ASSERT_EQ(c[size_t(i * (n + kGap) + j)], T(12345));
    }
  }
}
TEST_P(Gemms, BiasAndActivation) {
  for (const auto& [m, n, k] : std::initializer_list<std::array<int64_t, 3>>{
           {1, 1, 1}, {7, 33, 65}, {100, 300, 300}, {3, 4100, 40}, {250, 64, 1200}, {1, 900, 700}})
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      check_epilogue<float>(fused(), m, n, k);
      check_epilogue<double>(fused(), m, n, k);
      if (HasFatalFailure()) return;
    }
}

// What a backward asks for: the product times a derivative, and the sums of B's columns, each with
// the bits that it has alone.
template <class T>
void check_backward(bool fused, int64_t m, int64_t n, int64_t k, bool accumulate, Layout lb) {
  const Problem<T> q(m, n, k);
  std::vector<T> want = q.chains(fused, accumulate);
  std::vector<T> sums = numbers<T>(n, 7), got_sums = sums, c = q.start;
  if (!accumulate) sums.assign(size_t(n), T(0));
  for (int64_t p = 0; p < k; ++p)
    for (int64_t j = 0; j < n; ++j) sums[size_t(j)] += q.b[size_t(p * n + j)];
  const std::vector<T> results = numbers<T>(m * n, 5);
  const MapFn slope = kernel_table().backward_x[static_cast<int>(Row::tanh)][sizeof(T) == 8];
  const void* in[] = {want.data(), nullptr, nullptr, results.data()};
  slope(m * n, in, want.data(), 0);
  const auto [b_k, b_col] = strides_of(lb, k, n);
  const std::vector<T> b = spread(q.b, k, n, b_k, b_col);
  const int64_t saved_row = n + kGap;
  const std::vector<T> saved = spread(results, m, n, saved_row, 1);
  got_sums.push_back(T(12345));
  gemm(Gemm<T>{.m = m,
               .n = n,
               .k = k,
               .a = q.a.data(),
               .a_row = k,
               .a_k = 1,
               .b = b.data(),
               .b_k = b_k,
               .b_col = b_col,
               .c = c.data(),
               .c_row = n,
               .accumulate = accumulate,
               .activation = slope,
               .saved = saved.data(),
               .saved_row = saved_row,
               .column_sums = got_sums.data()});
  const auto same = [](const std::vector<T>& x, const std::vector<T>& y) {  // y may be empty
    return y.empty() || std::memcmp(x.data(), y.data(), y.size() * sizeof(T)) == 0;
  };
  ASSERT_TRUE(same(c, want)) << m << " x " << n << " x " << k;
  ASSERT_TRUE(same(got_sums, sums)) << m << " x " << n << " x " << k;
  ASSERT_EQ(got_sums.back(), T(12345));
}
TEST_P(Gemms, DerivativeAndColumnSums) {
  for (const auto& [m, n, k] : std::initializer_list<std::array<int64_t, 3>>{{1, 1, 1},
                                                                             {7, 33, 65},
                                                                             {1, 900, 70},
                                                                             {90, 1, 70},
                                                                             {3, 4100, 40},
                                                                             {60, 64, 1200},
                                                                             {100, 300, 300},
                                                                             {40, 30, 0},
                                                                             {0, 30, 20}})
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      set_grain(threads % 2);
      for (const bool accumulate : {false, true})
        for (const Layout lb : {Layout::normal, Layout::transposed, Layout::strided}) {
          check_backward<float>(fused(), m, n, k, accumulate, lb);
          check_backward<double>(fused(), m, n, k, accumulate, lb);
          if (HasFatalFailure()) return;
        }
    }
}

// A right factor that was packed before: the same bits, and B itself is not read.
template <class T>
void check_packed(bool fused, int64_t m, int64_t n, int64_t k, Layout lb) {
  const Problem<T> q(m, n, k);
  const auto [b_k, b_col] = strides_of(lb, k, n);
  std::vector<T> b = spread(q.b, k, n, b_k, b_col);
  Gemm<T> g{};
  g.m = m;
  g.n = g.c_row = n;
  g.k = g.a_row = k;
  g.a = q.a.data();
  g.a_k = 1;
  g.b = b.data();
  g.b_k = b_k;
  g.b_col = b_col;
  std::vector<T> memory(size_t(packed_size<T>(k, n)) + 1, T(12345));
  const PackedB<T> packed = pack_b(g, memory.data());
  ASSERT_EQ(memory.back(), T(12345));
  b.assign(b.size(), T(77));
  g.packed = &packed;
  std::vector<T> want_sums(size_t(n), T(0)), sums = want_sums;
  for (int64_t p = 0; p < k; ++p)
    for (int64_t j = 0; j < n; ++j) want_sums[size_t(j)] += q.b[size_t(p * n + j)];
  for (const bool accumulate : {false, true}) {
    const std::vector<T> want = q.chains(fused, accumulate);
    for (const int threads : {1, 2, 3, 7}) {
      set_num_threads(threads);
      set_grain(threads % 2);
      std::vector<T> c = q.start;
      g.c = c.data();
      g.accumulate = accumulate;
      g.column_sums = accumulate ? nullptr : sums.data();
      gemm(g);
      ASSERT_EQ(std::memcmp(c.data(), want.data(), want.size() * sizeof(T)), 0)
          << m << " x " << n << " x " << k;
      ASSERT_EQ(std::memcmp(sums.data(), want_sums.data(), sums.size() * sizeof(T)), 0);
    }
  }
}
TEST_P(Gemms, PackedBefore) {
  for (const auto& [m, n, k] : std::initializer_list<std::array<int64_t, 3>>{{1, 1, 1},
                                                                             {1, 300, 70},
                                                                             {90, 1, 70},
                                                                             {8, 130, 1030},
                                                                             {17, 33, 65},
                                                                             {50, 97, 600},
                                                                             {4, 5, 0}})
    for (const Layout lb : kLayouts) {
      check_packed<float>(fused(), m, n, k, lb);
      check_packed<double>(fused(), m, n, k, lb);
      if (HasFatalFailure()) return;
    }
}

// k cut into parts that accumulate gives the bits of the whole: micro-batches of a weight gradient.
TEST_P(Gemms, PartsOfKAreTheSameChain) {
  const Problem<float> q(33, 65, 960);
  const auto want = q.chains(fused(), false);
  for (const int64_t part : {1, 7, 96, 500}) {
    std::vector<float> c(want.size(), -1.0f);
    for (int64_t k0 = 0; k0 < q.k; k0 += part)
      gemm(Gemm<float>{.m = q.m,
                       .n = q.n,
                       .k = std::min(part, q.k - k0),
                       .a = q.a.data() + k0,
                       .a_row = q.k,
                       .a_k = 1,
                       .b = q.b.data() + k0 * q.n,
                       .b_k = q.n,
                       .b_col = 1,
                       .c = c.data(),
                       .c_row = q.n,
                       .accumulate = k0 > 0});
    ASSERT_EQ(std::memcmp(c.data(), want.data(), c.size() * sizeof(float)), 0) << part;
  }
}

// Strides of 0: the same row, column or number again and again.
TEST_P(Gemms, BroadcastOperands) {
  const std::vector<float> a = numbers<float>(40, 1), b = numbers<float>(50, 2);
  for (const auto& [b_k, b_col] : {std::pair<int64_t, int64_t>{0, 1}, {1, 0}, {0, 0}}) {
    std::vector<float> c(13 * 50);
    gemm(Gemm<float>{.m = 13,
                     .n = 50,
                     .k = 40,
                     .a = a.data(),
                     .a_row = 0,
                     .a_k = 1,
                     .b = b.data(),
                     .b_k = b_k,
                     .b_col = b_col,
                     .c = c.data(),
                     .c_row = 50});
    for (int64_t j = 0; j < 50; ++j) {
      float chain = 0;
      for (int64_t p = 0; p < 40; ++p) {
        const float y = b[size_t(p * b_k + j * b_col)];
        chain = fused() ? std::fma(a[size_t(p)], y, chain) : chain + a[size_t(p)] * y;
      }
      for (int64_t i = 0; i < 13; ++i) ASSERT_EQ(c[size_t(i * 50 + j)], chain);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Gemms, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace ranvier
