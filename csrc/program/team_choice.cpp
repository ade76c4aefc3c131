#include "program/team_choice.h"

#include <algorithm>

namespace ranvier {
namespace {

using std::chrono::microseconds;

constexpr microseconds kWarm{300};   // workers wake, and caches fill, before a trial counts
constexpr microseconds kTrial{700};  // and then it lasts as long, or kRuns runs
constexpr int kRuns = 8;
constexpr int kRest = 30, kMostRests = 8;  // so many trials later comes the next one
constexpr microseconds kLong{3000};        // runs of which a team is always worth it
constexpr double kGain = 0.95;             // what is not quicker by this is noise
constexpr double kLoss = 1.15;             // runs that take longer by this call for a trial

double ratio(TeamChoice::Duration a, TeamChoice::Duration b) {
  return static_cast<double>(a.count()) / static_cast<double>(std::max<int64_t>(b.count(), 1));
}

}  // namespace

void TeamChoice::note(Duration run) {
  spent_ += run;
  if (trying_ && spent_ <= kWarm) return;
  last_[alone_][static_cast<size_t>(count_[alone_]++ % kKept)] = run;
  ++runs_;
  if (trying_) {
    if (spent_ < kWarm + kTrial || runs_ < kRuns) return;
    trial_ = spent_;
    const bool better = ratio(typical(alone_), typical(!alone_)) < kGain;
    if (!better) alone_ = !alone_;
    // Of threads that are near again a run in one thread shows nothing: it looks as often as ever.
    rest_ = better || alone_ ? 1 : std::min(2 * rest_, kMostRests);
    settled_ = typical(alone_);
    turn();
  } else if (is_time()) {
    alone_ = !alone_;
    count_[alone_] = 0;
    turn();
  }
}

bool TeamChoice::is_time() const {
  const Duration trial = std::max<Duration>(trial_, kWarm + kTrial);
  const bool slower = runs_ % kKept == 0 && settled_ > Duration(0) && spent_ > kRest * trial / 4 &&
                      ratio(typical(alone_), settled_) > kLoss;
  if (!slower && spent_ < rest_ * kRest * trial) return false;
  return alone_ || typical(alone_) <= kLong;
}

void TeamChoice::turn() {
  trying_ = !trying_;
  spent_ = Duration(0);
  runs_ = 0;
}

// The median of the last ones.
TeamChoice::Duration TeamChoice::typical(bool alone) const {
  auto runs = last_[alone];
  const auto end = runs.begin() + std::min<int64_t>(count_[alone], kKept);
  const auto middle = runs.begin() + (end - runs.begin()) / 2;
  std::nth_element(runs.begin(), middle, end);
  return *middle;
}

}  // namespace ranvier
