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

// a b, added to a sum that is there in place. The chain over k goes on where the sum ended, so that
// the products of some rows after others have the bits of the product of all of them.
Tensor multiplied_onto(const Tensor& sum, const Tensor& a, const Tensor& b);

// Whether a product of bfloat16 numbers is left to the processor's own instruction for them: the
// op's `takes_half`. Its sums are float32 and are rounded in the end, as elsewhere.
bool in_pairs(const ForwardArgs& args);
const uint16_t* bits_of(const Tensor& t);

Cost matmul_cost(const Metas& in, const Metas& out, const AttrReader& args);

// Whether linear can apply an op to its result.
bool applies_in_linear(const OpDef& op);
// The activation whose derivative an op applies to gradients, where linear_input_grad can; or null.
const OpDef* slope_of(const OpDef& backward);

}  // namespace ranvier
