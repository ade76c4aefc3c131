// Steps of a program whose next rows are brought near while the present ones are at work.
#pragma once

#include <memory>
#include <vector>

#include "core/aside.h"
#include "program/plan.h"

namespace ranvier {

// What needs nothing but the arguments and memory that no instruction changes, such as gathering
// the rows of a batch and converting them, is the same whenever it is done. It writes to one of two
// sets of memory in turn, so that a worker without work does it for the next step.
class Ahead {
 public:
  // Null: there is nothing of the kind, or too little.
  static std::unique_ptr<Ahead> of(Program::Plan& plan);

  // As plan.compute(now); `next` are the arguments of the step that follows, or none.
  void compute(Program::Plan& plan, std::span<const Argument> now, std::span<const Argument> next);
  // Forgets a next step that is not going to come.
  void drop();

 private:
  struct Side {
    Tensors inputs;
    std::vector<Instruction> steps;  // of the program, on other memory; calls look at it
    std::vector<Prepared> early, rest;
    SmallVector<Argument, 4> arguments;
    Aside bringing;
    void bring();
  };
  Side sides_[2];
  bool turn_ = false;
};

}  // namespace ranvier
