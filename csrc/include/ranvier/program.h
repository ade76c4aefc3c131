// A program is the list of instructions that a function ran, kept so that it can run again
// without the function. Eager and replay call the same kernels on the same values.
// No planning and no fusion here: every recorded tensor keeps its own memory.
#pragma once

#include <functional>
#include <string>

#include "ranvier/ops.h"

namespace ranvier {

struct Instruction {
  const OpDef* op;
  Attrs attrs;
  Tensors inputs;
  Tensors outputs;
};

class Program {
 public:
  // Runs `function` once on copies of `inputs` and keeps what it did. Parameters, gradients,
  // optimizer state and generators are found by being used; the function must clear the
  // gradients that it writes, as a training step does.
  static Program record(const std::function<Tensors(const Tensors&)>& function,
                        const Tensors& inputs);

  // The results of the recorded run.
  const Tensors& first() const { return first_; }
  // Runs the instructions again on other inputs of the same shapes and dtypes.
  Tensors replay(const Tensors& inputs);
  // One line an instruction: outputs = op(inputs, attributes). Slots are i (input), h (held:
  // alive outside the program), t (temporary).
  std::string dump() const;
  std::size_t size() const { return instructions_.size(); }

 private:
  std::vector<Instruction> instructions_;
  Tensors inputs_, outputs_, first_;
  Tensors leaves_, gradients_;  // where each replay leaves its gradients
};

}  // namespace ranvier
