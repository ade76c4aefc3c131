// What the dispatcher and autograd tell a recording. One per thread, null while nothing records.
#pragma once

#include <vector>

#include "ranvier/program.h"

namespace ranvier {

struct Recorder {
  std::vector<Instruction> instructions;
  Tensors written;    // leaves whose gradient backward wrote or added to
  Tensors cleared;    // leaves whose gradient was taken away
  Tensors unsettled;  // leaves written where no gradient was, before any clearing
};

Recorder*& recorder();

bool contains(const Tensors& list, const Tensor& t);

}  // namespace ranvier
