// Shared by the losses: the `reduction` 'mean', 'sum' or 'none', as in PyTorch.
#pragma once

#include "ops/op.h"

namespace ranvier {

enum class Reduction { none, mean, sum };

AttrDef reduction_attr();  // the last attribute of every loss
Reduction reduction_of(const AttrReader& args);
// Shape of a loss whose values per element have `shape`.
Dims reduced_shape(const AttrReader& args, const Dims& shape);

// In a composite, by ops; in a forward, straight into `out`.
Tensor reduce_loss(const AttrReader& args, const Tensor& each);
void reduce_loss(const AttrReader& args, const Tensor& each, const Tensor& out);

// The formula of a loss, "..., then the reduction", with the reduction that a call has; and of its
// gradient.
std::string reduced_formula(const AttrReader& args, const Flags& given);
std::string slope_formula(const AttrReader& args, const Flags& given);

// Fails unless both shapes are the same.
void check_target_shape(const AttrReader& args, const Dims& input, const Dims& target);

}  // namespace ranvier
