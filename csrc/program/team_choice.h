// Whether the runs of a program are quicker with a team of threads or in one thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace ranvier {

// Found by measuring, as it depends on how far apart the processors are, and on who else is at work
// on them, and changes with both: now and then some runs are made the other way, for a thirtieth of
// the time or less. Whichever it is, the results are the same bits.
class TeamChoice {
 public:
  using Duration = std::chrono::nanoseconds;

  bool in_one_thread() const { return alone_; }  // the next run
  void note(Duration run);                       // how long that took

 private:
  Duration typical(bool alone) const;
  bool is_time() const;  // for a trial
  void turn();           // to the other way

  static constexpr int kKept = 15;
  std::array<Duration, kKept> last_[2] = {};  // of runs with a team, and of those without
  int64_t count_[2] = {0, 0};
  bool alone_ = false, trying_ = false;
  Duration spent_{0}, trial_{0};  // in these runs; in the last trial
  Duration settled_{0};           // how long runs took when the last trial changed nothing
  int64_t runs_ = 0;
  int rest_ = 1;  // grows while trials change nothing
};

}  // namespace ranvier
