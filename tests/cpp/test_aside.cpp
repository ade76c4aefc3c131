// Work that another thread takes over, loops that stay in one, and the choice between the two.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/aside.h"
#include "core/parallel.h"
#include "program/team_choice.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

class Asides : public testing::Test {
 protected:
  void SetUp() override { before_ = num_threads(); }
  void TearDown() override { set_num_threads(before_); }

 private:
  int before_ = 1;
};

using Work = std::function<void()>;
void offer(Aside& aside, Work& work) {
  aside.offer([](void* it) { (*static_cast<Work*>(it))(); }, &work);
}

TEST_F(Asides, AreDoneOnceByTheEndOfTheWait) {
  for (const int threads : {1, 2, 7}) {
    set_num_threads(threads);
    Aside aside;
    int64_t sum = 0;  // no atomic: waiting orders what others did before what follows
    Work work = [&] { ++sum; };
    std::atomic<int64_t> items{0};
    for (int round = 0; round < 2000; ++round) {
      offer(aside, work);
      EXPECT_TRUE(aside.pending());
      parallel_for(round % 50, 3, [&](int64_t begin, int64_t end) { items += end - begin; });
      aside.wait();
      ASSERT_EQ(sum, round + 1);
      EXPECT_FALSE(aside.pending());
      aside.wait();  // nothing is left to do
    }
    EXPECT_EQ(items, 2000 / 50 * (49 * 50 / 2));
  }
}

TEST_F(Asides, MoreThanThereIsRoomForAreDoneByWhoeverWaits) {
  set_num_threads(3);
  std::vector<int> done(20);
  std::vector<Work> works;
  for (int& d : done) works.push_back([&d] { ++d; });
  std::vector<Aside> asides(20);
  for (size_t i = 0; i < asides.size(); ++i) offer(asides[i], works[i]);
  for (Aside& aside : asides) aside.wait();
  EXPECT_EQ(done, std::vector<int>(20, 1));
}

TEST_F(Asides, LoopsWithinThemAndErrors) {
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    Aside aside;
    std::vector<int> hits(1000);
    Work loop = [&] {
      parallel_for(1000, 10, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
    };
    offer(aside, loop);
    aside.wait();
    EXPECT_EQ(hits, std::vector<int>(1000, 1));
    Work fails = [] { throw std::runtime_error("not today"); };
    for (int round = 0; round < 50; ++round) {
      offer(aside, fails);
      if (round % 2) std::this_thread::sleep_for(std::chrono::microseconds(50));
      EXPECT_THROW(aside.wait(), std::runtime_error);
      offer(aside, fails);
      aside.drop();  // whoever does not ask is not told
      EXPECT_FALSE(aside.pending());
    }
    int64_t count = 0;
    Work counts = [&] { ++count; };
    {
      Aside short_lived;
      offer(short_lived, counts);
    }
    EXPECT_LE(count, 1);
  }
}

TEST_F(Asides, OneThreadIsEnoughWhereItIsAskedFor) {
  set_num_threads(4);
  EXPECT_EQ(max_workers(), 4);
  const auto self = std::this_thread::get_id();
  std::atomic<int> others{0};
  {
    const InOneThread one;
    EXPECT_EQ(max_workers(), 1);
    {
      const InOneThread within(false);
      EXPECT_EQ(max_workers(), 1);
    }
    for (int round = 0; round < 100; ++round)
      parallel_for(64, 1, [&](int64_t, int64_t) { others += std::this_thread::get_id() != self; });
  }
  EXPECT_EQ(others, 0);
  EXPECT_EQ(max_workers(), 4);
  const InOneThread no(false);
  EXPECT_EQ(max_workers(), 4);
}

// Runs for so many milliseconds, of which a run takes so many microseconds with a team and without.
// Returns which part of the time was spent in one thread.
double share_alone(TeamChoice& choice, double milliseconds, double team, double alone) {
  double total = 0, in_one = 0;
  while (total < 1000 * milliseconds) {
    const double run = choice.in_one_thread() ? alone : team;
    if (choice.in_one_thread()) in_one += run;
    total += run;
    choice.note(std::chrono::nanoseconds(std::llround(1000 * run)));
  }
  return in_one / total;
}

TEST(TeamChoice, TakesWhatIsQuicker) {
  for (const double run : {5.0, 50.0, 700.0}) {
    TeamChoice choice;
    EXPECT_LT(share_alone(choice, 2000, run, 1.5 * run), 0.05) << run;
    EXPECT_FALSE(choice.in_one_thread());
  }
  for (const double run : {5.0, 50.0, 700.0}) {
    TeamChoice choice;
    share_alone(choice, 1000, 1.5 * run, run);
    EXPECT_GT(share_alone(choice, 2000, 1.5 * run, run), 0.93) << run;
  }
  TeamChoice equal;  // where it is all the same a team stays
  EXPECT_LT(share_alone(equal, 2000, 50, 49), 0.05);
}

TEST(TeamChoice, NoticesAChange) {
  TeamChoice choice;
  share_alone(choice, 3000, 50, 90);
  EXPECT_FALSE(choice.in_one_thread());
  EXPECT_GT(share_alone(choice, 200, 120, 90), 0.8);  // the processors have moved apart
  share_alone(choice, 100, 50, 90);
  EXPECT_LT(share_alone(choice, 200, 50, 90), 0.1);  // and back
}

TEST(TeamChoice, NeverTriesOneThreadForLongRuns) {
  TeamChoice choice;
  EXPECT_EQ(share_alone(choice, 3000, 5000, 9000), 0);
}

}  // namespace
}  // namespace ranvier
