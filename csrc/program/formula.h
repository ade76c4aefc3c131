// Instructions as mathematics: the formulas of their ops with the names of tensors put in.
#pragma once

#include <functional>
#include <string>

#include "ops/op.h"
#include "ranvier/program.h"

namespace ranvier {

using NameOf = std::function<std::string(const Tensor&)>;

// What the results of an instruction are, or what it changes; tensors and settings that the formula
// does not speak of stand behind it.
std::string written(const Instruction& step, const NameOf& name);

// The op, and what is fused into it: "linear+sigmoid".
std::string label_of(const Instruction& step);

Cost cost_of_step(const Instruction& step);

}  // namespace ranvier
