// Kernels for products of bfloat16 numbers, on processors that multiply pairs of them
// (AVX512_BF16). Two numbers that follow one another along k make a pair, in the place of one
// float, and the kernels of products multiply pairs where others multiply numbers. Subnormal
// numbers count as zero there.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace ranvier {

struct PairKernels {
  Kernels<float> products;
  // pairs[i] = (first[i], second[i]); zeros for a second row that is null.
  void (*interleave)(int64_t n, const uint16_t* first, const uint16_t* second, void* pairs);
  void (*round)(int64_t n, const float* x, uint16_t* y);  // to the nearest bfloat16
};

// Whether the processor has them and the table in use goes with them; they may then be called
// whatever table is chosen meanwhile.
bool has_pair_kernels();
const PairKernels& pair_kernels();

}  // namespace ranvier
