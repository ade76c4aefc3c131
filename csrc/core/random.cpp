// Generators; see ranvier/random.h. What draws from them is in ops/random.cpp.
#include "ranvier/random.h"

#include "core/recording.h"

namespace ranvier {

Generator::Generator(uint64_t seed) : state_(Tensor::empty({2}, DType::int64)) {
  manual_seed(seed);
}

void Generator::manual_seed(uint64_t seed) {
  if (recording && !end_recording("sets a seed", false)) forbid_while_recording("manual_seed()");
  state_.data<int64_t>()[0] = static_cast<int64_t>(seed);
  state_.data<int64_t>()[1] = 0;
}

uint64_t Generator::seed() const { return static_cast<uint64_t>(state_.data<int64_t>()[0]); }

Generator& default_generator() {
  static Generator instance(0);
  return instance;
}

}  // namespace ranvier
