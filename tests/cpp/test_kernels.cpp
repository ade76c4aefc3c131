// Every kernel on every instruction set: odd tails, misalignment, guard zones. Inputs end where
// the page ends, so that a read past them stops the process; outputs lie between sentinels.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "guarded.h"
#include "kernels/kernels.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

const std::vector<int64_t> kLengths = [] {
  std::vector<int64_t> n;
  for (int64_t i = 0; i <= 50; ++i) n.push_back(i);
  for (const int64_t i : {63, 64, 65, 127, 255, 1000}) n.push_back(i);
  return n;
}();

class Kernels : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = current_isa();
    set_isa(GetParam());
  }
  void TearDown() override { set_isa(before_); }

 private:
  std::string before_;
};

// Runs a map kernel on inputs that end at a guarded page; checks zones, and that every element is
// what it is alone: no result depends on its place in a vector or in the tail.
template <class T, class Out>
void check_map(MapFn f, int inputs, const std::string& what, T low, T high) {
  if (!f) return;
  const int64_t most = kLengths.back();
  std::vector<std::vector<T>> x;
  for (int i = 0; i < inputs; ++i) x.push_back(numbers<T>(most, 5u + unsigned(i), low, high));
  std::vector<Out> alone(static_cast<size_t>(most));
  for (int64_t i = 0; i < most; ++i) {
    const void* in[4] = {};
    for (int j = 0; j < inputs; ++j) in[j] = &x[size_t(j)][size_t(i)];
    f(1, in, &alone[size_t(i)], 0.25);
  }
  for (const int64_t n : kLengths)
    for (const int64_t shift : {0, 1, 3}) {
      std::vector<std::unique_ptr<Guarded>> memory;
      const void* in[4] = {};
      for (int j = 0; j < inputs; ++j) {
        memory.push_back(std::make_unique<Guarded>(x[size_t(j)], n));
        in[j] = memory.back()->data();
      }
      Output<Out> out(n, shift);
      f(n, in, out.data(), 0.25);
      ASSERT_TRUE(out.untouched_around()) << what << " n " << n << " shift " << shift;
      ASSERT_TRUE(same_bits(out.values(), std::vector<Out>(alone.begin(), alone.begin() + n)))
          << what << " n " << n << " shift " << shift;
    }
}

struct RowInfo {
  const char* name;
  bool comparison;
};
constexpr RowInfo kRowInfo[] = {
#define RV_UNARY(name, ...) {#name, false},
#define RV_BINARY(name, ...) {#name, false},
#define RV_TERNARY(name, ...) {#name, false},
#define RV_TEST(name, ...) {#name, true},
#define RV_COMPARE(name, ...) {#name, true},
#define RV_LOSS(name, ...) {#name, false},
#include "ops/elementwise.def"
};

TEST_P(Kernels, EveryRowOfTheTable) {
  const KernelTable& table = kernel_table();
  EXPECT_EQ(table.name, GetParam());
  for (int row = 0; row < kRows; ++row) {
    const std::string name = kRowInfo[row].name;
    ASSERT_TRUE(table.forward[row][0] && table.forward[row][1]) << name;
    if (kRowInfo[row].comparison) {
      check_map<float, uint8_t>(table.forward[row][0], 2, name, -3, 3);
      check_map<double, uint8_t>(table.forward[row][1], 2, name, -3, 3);
      continue;
    }
    check_map<float, float>(table.forward[row][0], 3, name, 0.01f, 0.99f);
    check_map<double, double>(table.forward[row][1], 3, name, 0.01, 0.99);
    check_map<float, float>(table.forward[row][0], 3, name, -90, 90);
    check_map<double, double>(table.forward[row][1], 3, name, -700, 700);
    for (const auto* backward : {&table.backward_x, &table.backward_y}) {
      check_map<float, float>((*backward)[row][0], 4, name + " backward", -3, 3);
      check_map<double, double>((*backward)[row][1], 4, name + " backward", -3, 3);
    }
  }
}

// Results of two kernels may overlap their inputs: gemm's epilogue and in-place ops rely on it.
TEST_P(Kernels, MapsMayWriteOverTheirInput) {
  for (int row = 0; row < kRows; ++row) {
    if (kRowInfo[row].comparison) continue;
    const MapFn f = kernel_table().forward[row][0];
    for (const int64_t n : kLengths) {
      std::vector<float> x = numbers<float>(n, 9, 0.1f, 0.9f), y(x.size());
      const void* in[] = {x.data(), x.data(), x.data()};
      f(n, in, y.data(), 0.25);
      f(n, in, x.data(), 0.25);
      ASSERT_TRUE(same_bits(x, y)) << kRowInfo[row].name << " " << n;
    }
  }
}

template <class T>
T tree_of_lanes(std::vector<T> lanes) {
  for (size_t n = lanes.size() / 2; n > 0; n /= 2)
    for (size_t i = 0; i < n; ++i) lanes[i] += lanes[i + n];
  return lanes[0];
}

// Four vectors of 64 bytes, each lane a chain, what is left over going on with the first; then the
// four, the two halves of a vector, and so on: the order is part of the contract, also for base
// x86-64.
template <class T>
void check_sums(const ranvier::Kernels<T>& k) {
  for (int64_t n : {0, 1, 7, 15, 16, 17, 33, 63, 64, 65, 100, 4095, 4096}) {
    const std::vector<T> x = numbers<T>(n, 3);
    const Guarded memory(x, n);
    const size_t lanes_of_one = 64 / sizeof(T), whole = x.size() / (4 * lanes_of_one);
    std::vector<T> four(4 * lanes_of_one, T(0)), lanes;
    for (size_t i = 0; i < x.size(); ++i)
      four[i % (i < whole * four.size() ? four.size() : lanes_of_one)] += x[i];
    for (size_t i = 0; i < lanes_of_one; ++i)
      lanes.push_back((four[i] + four[i + lanes_of_one]) +
                      (four[i + 2 * lanes_of_one] + four[i + 3 * lanes_of_one]));
    const T got = k.sum(n, reinterpret_cast<const T*>(memory.data()));
    const T want = tree_of_lanes(lanes);
    EXPECT_EQ(std::memcmp(&got, &want, sizeof(T)), 0) << n << " " << got << " " << want;
  }
  for (const int64_t rows : {0, 1, 3, 17})
    for (const int64_t cols : {1, 7, 16, 17, 33}) {
      const int64_t stride = cols + 3;
      const std::vector<T> x = numbers<T>(rows * stride, 4);
      const Guarded memory(x, rows ? (rows - 1) * stride + cols : 0);
      Output<T> out(cols, 1);
      k.sum_rows(rows, cols, reinterpret_cast<const T*>(memory.data()), stride, out.data());
      EXPECT_TRUE(out.untouched_around());
      for (int64_t j = 0; j < cols; ++j) {
        T chain = 0;
        for (int64_t r = 0; r < rows; ++r) chain = chain + x[size_t(r * stride + j)];
        EXPECT_EQ(out.data()[j], chain);
      }
    }
}

TEST_P(Kernels, SumsHaveTheDocumentedOrder) {
  check_sums(kernels<float>());
  check_sums(kernels<double>());
}

// Sums of differences and of their squares have the order of sums; fused where there is FMA.
template <class T>
void check_deviations(const ranvier::Kernels<T>& k) {
  const T eps = std::numeric_limits<T>::epsilon();
  for (const int64_t n : kLengths) {
    const std::vector<T> x = numbers<T>(n, 21, T(9), T(11));
    const Guarded memory(x, n);
    Output<T> first(1, 1), second(1, 1);
    k.deviations(n, reinterpret_cast<const T*>(memory.data()), T(10), first.data(), second.data());
    long double sum = 0, squares = 0, size = 0;
    for (const T v : x) {
      const long double d = static_cast<long double>(v) - 10;
      sum += d;
      size += std::fabs(d);
      squares += d * d;
    }
    EXPECT_NEAR(first.data()[0], sum, 16 * eps * size) << n;
    EXPECT_NEAR(second.data()[0], squares, 16 * eps * squares) << n;
    EXPECT_TRUE(first.untouched_around() && second.untouched_around());
  }
  for (const int64_t rows : {0, 1, 3, 17})
    for (const int64_t cols : {1, 7, 16, 17, 33}) {
      const int64_t stride = cols + 3;
      const std::vector<T> x = numbers<T>(rows * stride, 22), shift = numbers<T>(cols, 23);
      const Guarded memory(x, rows ? (rows - 1) * stride + cols : 0), center(shift, cols);
      Output<T> first(cols, 1), second(cols, 0);
      k.deviations_rows(rows, cols, reinterpret_cast<const T*>(memory.data()), stride,
                        reinterpret_cast<const T*>(center.data()), first.data(), second.data());
      EXPECT_TRUE(first.untouched_around() && second.untouched_around());
      for (int64_t j = 0; j < cols; ++j) {
        T sum = 0, squares = 0;
        for (int64_t r = 0; r < rows; ++r) {
          const T d = x[size_t(r * stride + j)] - shift[size_t(j)];
          sum = sum + d;
          squares += d * d;
        }
        EXPECT_EQ(first.data()[j], sum);
        EXPECT_NEAR(second.data()[j], squares, 8 * eps * squares);
      }
    }
}
TEST_P(Kernels, Deviations) {
  check_deviations(kernels<float>());
  check_deviations(kernels<double>());
}

// An extreme or a NaN at every position of every tail; nothing behind the row is looked at.
template <class T>
void check_extremes(const ranvier::Kernels<T>& k) {
  EXPECT_EQ(k.max(0, nullptr), -std::numeric_limits<T>::infinity());
  EXPECT_EQ(k.min(0, nullptr), std::numeric_limits<T>::infinity());
  for (const int64_t n : kLengths) {
    const Guarded memory(numbers<T>(n, 24), n);
    T* const x = reinterpret_cast<T*>(memory.data());
    for (int64_t i = 0; i < n; ++i) {
      const T was = x[i];
      for (const T special : {T(100), T(-100), T(INFINITY), T(NAN)}) {
        x[i] = special;
        const T most = k.max(n, x), least = k.min(n, x);
        if (std::isnan(special)) {
          ASSERT_TRUE(std::isnan(most) && std::isnan(least)) << i << " of " << n;
          continue;
        }
        ASSERT_EQ(most, *std::max_element(x, x + n)) << i << " of " << n;
        ASSERT_EQ(least, *std::min_element(x, x + n)) << i << " of " << n;
      }
      x[i] = was;
    }
  }
}
TEST_P(Kernels, ExtremesSeeEveryPosition) {
  check_extremes(kernels<float>());
  check_extremes(kernels<double>());
}

template <class T>
void check_log_sum_exp(const ranvier::Kernels<T>& k) {
  EXPECT_EQ(k.log_sum_exp(0, nullptr), -std::numeric_limits<T>::infinity());
  for (const int64_t n : kLengths) {
    if (n == 0) continue;
    const std::vector<T> values = numbers<T>(n, 25, -20, 20);
    const Guarded memory(values, n);
    T* const x = reinterpret_cast<T*>(memory.data());
    long double sum = 0;
    for (const T v : values) sum += std::exp(static_cast<long double>(v));
    const T eps = std::numeric_limits<T>::epsilon();
    EXPECT_NEAR(k.log_sum_exp(n, x), std::log(sum), 8 * eps * (std::fabs(std::log(sum)) + 1));
    x[n / 2] = T(INFINITY);
    EXPECT_EQ(k.log_sum_exp(n, x), T(INFINITY));
    x[n / 2] = T(NAN);
    EXPECT_TRUE(std::isnan(k.log_sum_exp(n, x)));
    std::fill_n(x, n, T(-INFINITY));
    EXPECT_EQ(k.log_sum_exp(n, x), T(-INFINITY));
  }
}
TEST_P(Kernels, LogSumExp) {
  check_log_sum_exp(kernels<float>());
  check_log_sum_exp(kernels<double>());
}

template <class T>
void check_finite(const ranvier::Kernels<T>& k) {
  for (const int64_t n : kLengths) {
    Guarded memory(size_t(n) * sizeof(T));
    T* x = reinterpret_cast<T*>(memory.data());
    for (int64_t i = 0; i < n; ++i) x[i] = i % 2 ? std::numeric_limits<T>::max() : T(-1);
    EXPECT_TRUE(k.all_finite(n, x)) << n;
    for (const T bad : {T(NAN), T(INFINITY), T(-INFINITY)})
      for (int64_t i = 0; i < n; ++i) {
        const T was = x[i];
        x[i] = bad;
        ASSERT_FALSE(k.all_finite(n, x)) << bad << " at " << i << " of " << n;
        x[i] = was;
      }
  }
}
TEST_P(Kernels, AllFiniteSeesEveryPosition) {
  check_finite(kernels<float>());
  check_finite(kernels<double>());
}

template <class T>
void check_rows(const ranvier::Kernels<T>& k) {
  for (const int64_t n : kLengths) {
    if (n == 0) continue;
    const std::vector<T> values = numbers<T>(n, 6, -8, 8), grads = numbers<T>(n, 7);
    const size_t bytes = size_t(n) * sizeof(T);
    const Guarded x_memory(values, n), g_memory(grads, n), y_memory(bytes);
    const T* x = reinterpret_cast<T*>(x_memory.data());
    const T* g = reinterpret_cast<T*>(g_memory.data());
    T* y = reinterpret_cast<T*>(y_memory.data());
    long double total = 0, most = -1e9, loss = 0;
    for (const T v : values) most = std::max<long double>(most, v);
    for (const T v : values) total += std::exp(static_cast<long double>(v) - most);
    const T eps = std::numeric_limits<T>::epsilon();
    for (const int64_t shift : {0, 1}) {
      Output<T> soft(n, shift), logs(n, shift), d(n, shift), dl(n, shift), ce(n, shift);
      k.softmax(1, n, x, soft.data());
      k.log_softmax(1, n, x, logs.data());
      for (int64_t i = 0; i < n; ++i) {
        const long double e = std::exp(static_cast<long double>(x[i]) - most) / total;
        EXPECT_NEAR(soft.data()[i], e, 24 * eps * e);
        EXPECT_NEAR(logs.data()[i], std::log(e), 4 * eps * (std::fabs(std::log(e)) + 1));
      }
      std::memcpy(y, soft.data(), bytes);
      k.softmax_backward(1, n, g, y, d.data());
      k.log_softmax_backward(1, n, g, y, dl.data());
      T lse[2], got;
      const int64_t target = n / 2;
      loss = std::log(total) + most - x[target];
      k.cross_entropy(1, n, x, &target, lse, &got);
      EXPECT_NEAR(got, loss, 8 * eps * (std::fabs(loss) + 1));
      const T half = T(0.5);
      k.cross_entropy_backward(1, n, x, &target, lse, &half, 0, ce.data());
      for (int64_t i = 0; i < n; ++i)
        EXPECT_NEAR(ce.data()[i], (soft.data()[i] - (i == target)) * T(0.5), 64 * eps);
      for (Output<T>* o : {&soft, &logs, &d, &dl, &ce})
        EXPECT_TRUE(o->untouched_around()) << n << " shift " << shift;
    }
  }
}
TEST_P(Kernels, SoftmaxFamily) {
  check_rows(kernels<float>());
  check_rows(kernels<double>());
}

// Target at every position: the one element that is written alone stays inside the row.
TEST_P(Kernels, CrossEntropyTargets) {
  for (int64_t n : {1, 15, 16, 17}) {
    const std::vector<float> x = numbers<float>(n, 8);
    for (int64_t target = 0; target < n; ++target) {
      Output<float> dx(n, 1);
      float lse[2], loss;
      const float one = 1;
      kernels<float>().cross_entropy(1, n, x.data(), &target, lse, &loss);
      kernels<float>().cross_entropy_backward(1, n, x.data(), &target, lse, &one, 0, dx.data());
      EXPECT_TRUE(dx.untouched_around());
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        sum += dx.data()[i];
        EXPECT_EQ(dx.data()[i] <= 0, i == target || dx.data()[i] == 0);
      }
      EXPECT_NEAR(sum, 0, 1e-5);
    }
  }
}

ranvier::UpdateArgs some_update() {
  ranvier::UpdateArgs u;
  u.lr = 0.1, u.weight_decay = 0.01, u.eps = 1e-8, u.momentum = 0.9, u.dampening = 0.1;
  u.beta1 = 0.9, u.beta2 = 0.999, u.correction1 = 0.1, u.correction2 = 0.001;
  u.rate = 0.1, u.second_rate = 0.2, u.low = 0.01, u.high = 5, u.power = 0.25, u.l1 = 0.1;
  u.nesterov = true;
  return u;
}

// The bits of an element are the same alone and in any place of a longer array.
template <class T>
void check_update(ranvier::UpdateFn<T> update, int64_t n, int64_t shift) {
  constexpr int kArrays = 5;
  std::vector<std::vector<T>> start;
  std::vector<Output<T>> outputs;
  for (int a = 0; a < kArrays; ++a) {
    start.push_back(a < 2 ? numbers<T>(n, a + 1) : numbers<T>(n, a + 1, T(0.1), T(1)));
    outputs.emplace_back(n, shift);
    std::copy(start.back().begin(), start.back().end(), outputs.back().data());
  }
  const Guarded grads(start[1], n);
  T* x[kArrays + 1] = {};
  for (int a = 0; a < kArrays; ++a) x[a] = outputs[size_t(a)].data();
  x[1] = const_cast<T*>(reinterpret_cast<const T*>(grads.data()));
  update(n, x, some_update());
  for (Output<T>& o : outputs) ASSERT_TRUE(o.untouched_around()) << n;
  for (int64_t i = 0; i < n; ++i) {
    T alone[kArrays], *y[kArrays + 1] = {};
    for (int a = 0; a < kArrays; ++a) alone[a] = start[size_t(a)][size_t(i)], y[a] = &alone[a];
    update(1, y, some_update());
    for (int a = 0; a < kArrays; ++a) ASSERT_EQ(x[a][i], alone[a]) << a;
  }
}
template <class T>
void check_updates(const ranvier::Kernels<T>& k) {
  for (const ranvier::UpdateFn<T> update : k.update)
    for (const int64_t n : kLengths)
      for (const int64_t shift : {0, 1}) check_update(update, n, shift);
}
TEST_P(Kernels, UpdatesDoNotDependOnPlace) {
  check_updates(kernels<float>());
  check_updates(kernels<double>());
}

// A dead unit's moments become 0 and not denormal, on every instruction set at the same step.
TEST_P(Kernels, AdamFlushesWhatNeverMattersAgain) {
  float p = 1, m = 1e-3f, v = 1e-6f;
  float g = 0;
  float* x[] = {&p, &g, &m, &v, nullptr, nullptr};
  ranvier::UpdateArgs adam;
  adam.lr = adam.rate = 0.01, adam.beta1 = 0.9, adam.beta2 = 0.999, adam.eps = 1e-8;
  for (int step = 0; step < 2000; ++step) {
    kernels<float>().update[static_cast<int>(ranvier::Update::adam)](1, x, adam);
    ASSERT_TRUE(m == 0 || std::fabs(m) >= 1e-30f);
  }
  EXPECT_EQ(m, 0);
}

template <class T>
void check_noise(const ranvier::Kernels<T>& k) {
  for (const int64_t n : kLengths) {
    std::vector<T> u = numbers<T>(n, 1, 0, 1), v = numbers<T>(n, 2, 0, 1);
    if (n > 2) u[0] = 0, u[1] = 1 - std::numeric_limits<T>::epsilon() / 2, v[2] = 0;
    Output<T> z0(n, 1), z1(n, 1);
    k.box_muller(n, u.data(), v.data(), z0.data(), z1.data());
    EXPECT_TRUE(z0.untouched_around() && z1.untouched_around());
    for (int64_t i = 0; i < n; ++i) {
      const double r = std::sqrt(-2 * std::log1p(-double(u[size_t(i)])));
      const double turn = 2 * M_PI * double(v[size_t(i)]);
      const double bound = 16 * std::numeric_limits<T>::epsilon() * (r + 1);
      ASSERT_NEAR(z0.data()[i], r * std::cos(turn), bound) << u[size_t(i)];
      ASSERT_NEAR(z1.data()[i], r * std::sin(turn), bound);
    }
  }
}
TEST_P(Kernels, BoxMuller) {
  check_noise(kernels<float>());
  check_noise(kernels<double>());
}

TEST_P(Kernels, AddBiasStaysInItsColumns) {
  for (const int64_t cols : {1, 7, 16, 17, 40}) {
    const int64_t rows = 3, stride = cols + 5;
    std::vector<float> c(size_t(rows * stride), 1.0f);
    const std::vector<float> bias = numbers<float>(cols, 3);
    const Guarded memory(bias, cols);
    kernels<float>().add_bias(rows, cols, c.data(), stride,
                              reinterpret_cast<const float*>(memory.data()));
    for (int64_t i = 0; i < rows * stride; ++i)
      EXPECT_EQ(c[size_t(i)], i % stride < cols ? 1.0f + bias[size_t(i % stride)] : 1.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Kernels, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return info.param; });

// AVX2 against AVX-512, over every float pattern class: bits of both, NaN included.
TEST(KernelBits, FmaIsasAgreeOnAllKindsOfNumbers) {
  const auto isas = available_isas();
  if (isas.size() < 3) GTEST_SKIP() << "this machine has no AVX-512 beside AVX2";
  const std::string before = current_isa();
  std::vector<float> x;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 40503) {
    const auto word = static_cast<uint32_t>(bits);
    float v;
    std::memcpy(&v, &word, sizeof v);
    x.push_back(v);
  }
  std::vector<double> xd;
  std::mt19937_64 random(1);
  for (int i = 0; i < 60000; ++i) {
    const uint64_t word = random();
    double v;
    std::memcpy(&v, &word, sizeof v);
    xd.push_back(i % 2 ? v : std::ldexp(double(word >> 11), -int(word % 70) - 10));
  }
  const auto n = static_cast<int64_t>(x.size()), nd = static_cast<int64_t>(xd.size());
  for (int row = 0; row < kRows; ++row) {
    if (kRowInfo[row].comparison) continue;
    std::vector<float> y[2] = {std::vector<float>(x.size()), std::vector<float>(x.size())};
    std::vector<double> yd[2] = {std::vector<double>(xd.size()), std::vector<double>(xd.size())};
    for (int i = 0; i < 2; ++i) {
      set_isa(i ? "avx512" : "avx2");
      const void* in[] = {x.data(), x.data(), x.data()};
      kernel_table().forward[row][0](n, in, y[i].data(), 0.25);
      const void* ind[] = {xd.data(), xd.data(), xd.data()};
      kernel_table().forward[row][1](nd, ind, yd[i].data(), 0.25);
    }
    EXPECT_TRUE(same_bits(y[0], y[1])) << kRowInfo[row].name;
    EXPECT_TRUE(same_bits(yd[0], yd[1])) << kRowInfo[row].name << " float64";
  }
  set_isa(before);
}

}  // namespace
}  // namespace ranvier
