// What the files of products share.
#pragma once

#include "ops/op.h"

namespace ranvier {

// All inputs must have one dtype that is no bool, as PyTorch's products ask.
void check_factors(const InferArgs& args);

// A view with two axes exchanged; the last two unless told otherwise.
Tensor swapped(const Tensor& t, int64_t a = -2, int64_t b = -1);

Tensor reshaped_to(const Tensor& t, const Dims& shape);

// The diagonal of two axes of one size, as the last axis.
Tensor diagonal_of(const Tensor& t, int64_t a, int64_t b);

}  // namespace ranvier
