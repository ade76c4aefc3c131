// How much work is worth a thread, for every family of kernels: elements in a piece that takes
// some 2 us. Loops of fewer than two pieces run in the thread of their caller: to share one costs
// 0.3 us, and 1.5 us while the host has put two processors far from each other. Found with
// benchmarks/threads.py on a Zen 4 at 3.7 GHz; no result depends on them.
#pragma once

#include <cstdint>

namespace ranvier {

inline constexpr int64_t kGrainCopied = 1 << 15;   // adjacent, and added, multiplied, compared
inline constexpr int64_t kGrainSummed = 5 << 13;   // adjacent, and nothing is written
inline constexpr int64_t kGrainFolded = 1 << 13;   // extremes, their positions, moments
inline constexpr int64_t kGrainRows = 1 << 12;     // softmax, norms, losses of rows
inline constexpr int64_t kGrainUpdated = 1 << 13;  // an optimizer's step
inline constexpr int64_t kGrainStrided = 1 << 12;  // transposed, rounded to half precision
inline constexpr int64_t kGrainPicked = 1 << 11;   // by index
inline constexpr int64_t kGrainRunning = 1 << 10;  // sums and the like that depend on the last

}  // namespace ranvier
