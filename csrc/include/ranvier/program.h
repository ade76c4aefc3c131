// A program is the list of instructions that a function ran, kept so that it can run again
// without the function. Eager and replay call the same kernels on the same values: the bits are
// the same.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

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
  // gradients that it writes, as a training step does. What is left out or put together keeps
  // every bit; temporary results share one block of memory.
  static Program record(const std::function<Tensors(const Tensors&)>& function,
                        const Tensors& inputs);
  Program(Program&& other) noexcept;
  Program& operator=(Program&& other) noexcept;
  ~Program();

  // The results of the recorded run.
  const Tensors& first() const;
  // Runs the instructions again on other inputs of the same shapes and dtypes. Threads that call
  // at the same time wait for each other.
  Tensors replay(const Tensors& inputs);
  // One line an instruction: outputs = op(inputs, attributes). Slots are i (input), h (held:
  // alive outside the program), t (temporary).
  std::string dump() const;
  std::size_t size() const;
  // Of the block that temporary results share.
  std::size_t arena_bytes() const;

 private:
  struct Plan;
  explicit Program(std::unique_ptr<Plan> plan);
  std::unique_ptr<Plan> plan_;
};

}  // namespace ranvier
