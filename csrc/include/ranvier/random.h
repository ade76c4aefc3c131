// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). The n-th number depends on (seed, n) alone, so any
// number of threads draws the same ones.
#pragma once

#include "ranvier/tensor.h"

namespace ranvier {

// Seed and position live in a tensor (int64[2]): an op that draws takes it as an input and moves
// it on, and a recorded program finds it like any other state.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0);
  void manual_seed(uint64_t seed);
  uint64_t seed() const;
  const Tensor& state() const { return state_; }

 private:
  Tensor state_;
};

Generator& default_generator();

}  // namespace ranvier
