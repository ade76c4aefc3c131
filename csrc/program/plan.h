// A recorded list made ready: what a replay walks through.
#pragma once

#include <mutex>
#include <vector>

#include "program/list.h"

namespace ranvier {

struct Program::Plan {
  Arena arena;  // outlives what looks at it
  std::vector<Instruction> instructions;
  Tensors inputs, outputs, first;
  Tensors leaves, gradients;  // where each replay leaves its gradients
  std::vector<Prepared> calls;
  std::vector<Storage*> changed;  // by a replay, as backward would notice
  std::mutex running;

  void prepare();
  void check(const Tensors& given) const;
};

}  // namespace ranvier
