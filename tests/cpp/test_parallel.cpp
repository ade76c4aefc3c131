// Loops over chunks: coverage, exceptions, nesting, floating-point control.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/parallel.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

class Parallel : public testing::Test {
 protected:
  void SetUp() override { before_ = num_threads(); }
  void TearDown() override {
    set_num_threads(before_);
    set_grain(0);
  }

 private:
  int before_ = 1;
};

TEST_F(Parallel, EveryItemOnce) {
  for (const int threads : {1, 2, 3, 7, 16}) {
    set_num_threads(threads);
    for (const int64_t n : {0, 1, 2, 7, 100, 1001})
      for (const int64_t step : {1, 3, 1000, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        parallel_for(n, step, [&](int64_t begin, int64_t end) {
          ASSERT_LT(begin, end);
          ASSERT_LE(end - begin, step);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        for (const auto& h : hits) ASSERT_EQ(h, 1);
      }
  }
}

TEST_F(Parallel, ChunksDependOnSizeAndGrainAlone) {
  const auto cuts = [](int threads) {
    set_num_threads(threads);
    std::vector<std::atomic<int64_t>> ends(1000);
    parallel_items(1000, 7, 100,
                   [&](int64_t begin, int64_t end) { ends[static_cast<size_t>(begin)] = end; });
    return std::vector<int64_t>(ends.begin(), ends.end());
  };
  const auto one = cuts(1);
  EXPECT_EQ(one, cuts(2));
  EXPECT_EQ(one, cuts(7));
  EXPECT_EQ(one[0], 15);  // 1000 / 14 pieces or more, in an even number: 70
  set_grain(1);
  EXPECT_EQ(cuts(3)[0], 1);
}

TEST_F(Parallel, WorkersAreNumberedBelowTheBound) {
  set_num_threads(5);
  const int bound = max_workers();
  EXPECT_EQ(bound, 5);
  std::atomic<bool> fine{true};
  for_chunks(500, bound, [&](int64_t, int worker) {
    if (worker < 0 || worker >= bound) fine = false;
  });
  EXPECT_TRUE(fine);
}

TEST_F(Parallel, ExceptionsReachTheCaller) {
  for (const int threads : {1, 2, 7}) {
    set_num_threads(threads);
    std::atomic<int> ran{0};
    EXPECT_THROW(for_chunks(100, max_workers(),
                            [&](int64_t chunk, int) {
                              ++ran;
                              if (chunk >= 3) throw std::runtime_error("chunk");
                            }),
                 std::runtime_error);
    EXPECT_LT(ran, 100);
    EXPECT_THROW(
        for_chunks(8, max_workers(), [](int64_t, int) { fail(ErrorKind::index, "all of them"); }),
        Error);
    ran = 0;
    for_chunks(100, max_workers(), [&](int64_t, int) { ++ran; });
    EXPECT_EQ(ran, 100) << "the next loop is whole";
  }
}

TEST_F(Parallel, LoopsInLoops) {
  set_num_threads(4);
  std::atomic<int> inner{0};
  std::atomic<bool> alone{true};
  for_chunks(20, max_workers(), [&](int64_t, int) {
    const auto me = std::this_thread::get_id();
    if (max_workers() != 1) alone = false;
    for_chunks(10, max_workers(), [&](int64_t, int worker) {
      if (std::this_thread::get_id() != me || worker != 0) alone = false;
      ++inner;
    });
  });
  EXPECT_EQ(inner, 200);
  EXPECT_TRUE(alone);
}

TEST_F(Parallel, AnExceptionInsideDoesNotLeaveTheThreadMarked) {
  set_num_threads(3);
  EXPECT_ANY_THROW(for_chunks(10, max_workers(), [](int64_t, int) { throw 1; }));
  EXPECT_EQ(max_workers(), 3);
}

TEST_F(Parallel, ManyCallersAtOnce) {
  set_num_threads(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round)
        parallel_for(100, 7, [&](int64_t begin, int64_t end) { total += end - begin; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 50 * 100);
}

TEST_F(Parallel, ThreadCountIsChecked) {
  EXPECT_THROW(set_num_threads(0), Error);
  EXPECT_THROW(set_num_threads(-5), Error);
}

#if defined(__x86_64__)
// Another library may have set flush-to-zero, in the calling thread only.
TEST_F(Parallel, FloatingPointControlIsIeeeInside) {
  const unsigned before = _mm_getcsr();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    _mm_setcsr(before | 0x8040 | 0x6000);  // flush to zero, denormals are zero, towards zero
    std::atomic<bool> ieee{true};
    for_chunks(50, max_workers(), [&](int64_t, int) {
      if ((_mm_getcsr() & ~0x3fu) != 0x1f80) ieee = false;
    });
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_TRUE(ieee) << threads;
    EXPECT_EQ(after & ~0x3fu, (before | 0x8040 | 0x6000) & ~0x3fu) << "the caller's is put back";
  }
}

// Results of whole ops under the caller's flush-to-zero: denormal sums, means, copies, gradients.
TEST_F(Parallel, FlushToZeroOfTheCallerChangesNoResult) {
  const unsigned before = _mm_getcsr();
  const float tiny = 3e-42f;
  const Tensor x = Tensor::full({3, 9000}, tiny), few = Tensor::full({1, 7}, tiny);
  const Tensor index = Tensor::zeros({1, 7}, DType::int64), bias = Tensor::full({3}, tiny);
  const auto run = [&] {
    std::vector<Tensor> results;
    for (const char* name : {"sum", "mean"}) {
      results.push_back(call(name, {x})[0]);
      results.push_back(call(name, {x}, {std::vector<int64_t>{0}})[0]);
      results.push_back(call(name, {x}, {std::vector<int64_t>{1}})[0]);
      results.push_back(call(name, {few})[0]);
    }
    for (const char* name : {"relu", "square", "sqrt", "clone", "softmax", "log", "silu"})
      results.push_back(call(name, {x})[0]);
    results.push_back(call("mul", {x, Tensor::full({}, 0.5)})[0]);
    results.push_back(call("cast", {x}, {static_cast<int64_t>(DType::float64)})[0]);
    results.push_back(call("cast", {Tensor::full({5}, 1e-310, DType::float64)},
                           {static_cast<int64_t>(DType::float64)})[0]);
    results.push_back(Tensor::full({2}, 3e-42));
    results.push_back(call("argmax", {Tensor::from<float>({2}, {0.0f, tiny})})[0]);
    results.push_back(call("scatter_add", {Tensor::zeros({1, 7}), index, few}, {int64_t{1}})[0]);
    results.push_back(call("index_add",
                           {Tensor::zeros({1, 3}), Tensor::zeros({7}, DType::int64), few},
                           {int64_t{1}})[0]);
    results.push_back(call("mse_loss", {Tensor::full({9000}, 1e-20), Tensor::zeros({9000})})[0]);
    results.push_back(call("matmul", {x, Tensor::full({9000, 2}, 0.25)})[0]);
    results.push_back(call("linear", {few, Tensor::full({3, 7}, 1.0), bias})[0]);
    results.push_back(call("bias_grad", {x})[0]);
    return results;
  };
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    const auto want = run();
    _mm_setcsr(before | 0x8040);
    const auto got = run();
    _mm_setcsr(before);
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t bytes = want[i].impl()->storage->bytes;
      EXPECT_EQ(std::memcmp(got[i].raw(), want[i].raw(), bytes), 0) << "result " << i;
    }
  }
}
#endif

}  // namespace
}  // namespace ranvier
