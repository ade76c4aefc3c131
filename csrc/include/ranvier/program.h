// A program is the list of instructions that a function ran, kept so that it can run again
// without the function. Eager and replay call the same kernels on the same values: the bits are
// the same.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ranvier/ops.h"

namespace ranvier {

struct Instruction {
  const OpDef* op;
  Attrs attrs;
  Tensors inputs;
  Tensors outputs;
  std::shared_ptr<const std::string> where = {};  // "train.py:12", of Python's line; or null
};

// How long a program takes. What it computes and moves is what its ops declare as their cost.
struct Profile {
  struct Line {
    std::string op, where;
    double seconds;  // a run: the mean of the middle half of all
    double flops, bytes;
  };
  std::vector<Line> lines;  // one an instruction, or for several that run block by block
  double seconds = 0;       // of the whole, measured without a clock in between
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
  // The instructions as mathematics, from the formulas of their ops. Slots are x (input), y
  // (result), h (held: alive outside the program), t (temporary). Lines behind one bar run
  // together, block by block. The same program has the same text in every run.
  std::string dump() const;
  // Of each instruction: the op with what is fused into it, and the line it came from.
  std::vector<std::pair<std::string, std::string>> lines() const;
  // Runs the program n times on the inputs that came last, with and without a clock between the
  // instructions. Everything that it writes to is put back: nothing is trained.
  Profile profile(int n);
  std::size_t size() const;
  // Of the block that temporary results share.
  std::size_t arena_bytes() const;

  struct Plan;
  explicit Program(std::unique_ptr<Plan> plan);
  Plan& plan() const { return *plan_; }

 private:
  std::unique_ptr<Plan> plan_;
};

}  // namespace ranvier
