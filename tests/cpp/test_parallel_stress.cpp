// Loops under stress: many callers, settings that change meanwhile, fork, exit. `make tsan` runs
// them under the thread sanitizer.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

class ParallelStress : public testing::Test {
 protected:
  void SetUp() override { before_ = num_threads(); }
  void TearDown() override { set_num_threads(before_); }

 private:
  int before_ = 1;
};

// Some work, so that others find the time to come in.
void work(int64_t amount) {
  for (std::atomic<int64_t> i{0}; i < amount;) i.fetch_add(1, std::memory_order_relaxed);
}

// A loop over memory of its own, plain memory, so that a lost, doubled or late chunk shows.
bool loop_is_whole(int64_t chunks, int64_t salt) {
  std::vector<int64_t> results(static_cast<size_t>(chunks), -1);
  for_chunks(chunks, max_workers(), [&](int64_t chunk, int) {
    work((chunk * 7 + salt) % 64);
    int64_t& mine = results[static_cast<size_t>(chunk)];
    mine = mine == -1 ? chunk * 31 + salt : -2;
  });
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    if (results[static_cast<size_t>(chunk)] != chunk * 31 + salt) return false;
  return true;
}

// As above, with a chunk that throws.
bool loop_throws(int64_t chunks, int64_t salt) {
  try {
    for_chunks(chunks, max_workers(), [&](int64_t chunk, int) {
      if (chunk == salt % chunks) throw std::runtime_error(std::to_string(salt));
    });
  } catch (const std::runtime_error& e) {
    return e.what() == std::to_string(salt);
  }
  return false;
}

int exit_code_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Short loops one after the other, each with memory that is gone when it has returned: a worker
// that takes one for another would write into the next one's.
TEST_F(ParallelStress, ShortLoopsInARow) {
  for (const int threads : {2, 3, 7}) {
    set_num_threads(threads);
    const int64_t loops = threads > 3 ? 200 : 3000;  // OpenMP's barriers take long with many
    for (int64_t i = 0; i < loops; ++i) ASSERT_TRUE(loop_is_whole(2 + i % 5, i)) << i;
  }
}

TEST_F(ParallelStress, WorkersThatSlept) {
  set_num_threads(3);
  for (const int milliseconds : {0, 1, 3, 8, 20}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    for (int64_t i = 0; std::chrono::steady_clock::now() < end; ++i)
      ASSERT_TRUE(loop_is_whole(20, i));
  }
}

// More than one offer of the pool holds.
TEST_F(ParallelStress, AMillionChunks) {
  set_num_threads(3);
  EXPECT_TRUE(loop_is_whole((1 << 20) + 3, 1));
  EXPECT_TRUE(loop_throws((1 << 20) + 3, 5));
}

TEST_F(ParallelStress, ManyCallersWhileTheThreadCountChanges) {
  std::atomic<bool> stop{false}, fine{true};
  std::vector<std::thread> callers;
  for (int64_t c = 0; c < 6; ++c)
    callers.emplace_back([&, c] {
      for (int64_t i = 0; i < 400 && fine; ++i) {
        const bool good = i % 7 == 3 ? loop_throws(9, i) : loop_is_whole(1 + (i * 13 + c) % 60, i);
        if (!good) fine = false;
      }
    });
  std::thread disturber([&] {
    for (int n = 0; !stop; ++n) {
      set_num_threads(1 + n % 8);
      std::this_thread::yield();
    }
  });
  for (std::thread& caller : callers) caller.join();
  stop = true;
  disturber.join();
  EXPECT_TRUE(fine);
}

// Children compute with threads of their own while other threads of the parent compute.
TEST_F(ParallelStress, ForkWhileOthersCompute) {
#ifdef RANVIER_ASAN
  GTEST_SKIP() << "another thread may hold the sanitizer's own allocator at a fork";
#endif
  set_num_threads(3);
  std::atomic<bool> stop{false}, fine{true};
  std::vector<std::thread> callers;
  for (int c = 0; c < 2; ++c)
    callers.emplace_back([&] {
      for (int64_t i = 0; !stop; ++i)
        if (!loop_is_whole(30, i)) fine = false;
    });
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(loop_is_whole(10, i));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(60);
      bool good = true;
      for (int64_t round = 0; round < 20; ++round) good = good && loop_is_whole(25, round);
      const pid_t grandchild = fork();
      if (grandchild == 0) {
        alarm(60);  // not inherited
        _exit(loop_is_whole(25, 7) ? 0 : 1);
      }
      _exit(good && exit_code_of(grandchild) == 0 ? 0 : 1);
    }
    EXPECT_EQ(exit_code_of(child), 0);
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(fine);
}

// The process ends while a thread of it computes: no hang, no crash.
TEST_F(ParallelStress, ExitWhileOthersCompute) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process of its own
  const auto compute_and_exit = [] {
    alarm(60);
    set_num_threads(3);
    std::atomic<bool> running{false};
    std::thread([&running] {
      for (int64_t round = 0;; ++round) {
        loop_is_whole(30, round);
        running = true;
      }
    }).detach();
    while (!running) std::this_thread::yield();
    std::exit(0);
  };
  for (int i = 0; i < 5; ++i) EXPECT_EXIT(compute_and_exit(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ranvier
