// What the dispatcher and autograd tell a recording. One per thread, null while nothing records.
#pragma once

#include <vector>

#include "ranvier/program.h"

namespace ranvier {

struct Recorder {
  std::vector<Instruction> instructions;
  Tensors first_grads;    // leaves whose gradient was written where there was none
  Tensors cleared_grads;  // leaves whose gradient was taken away
};

Recorder*& recorder();

// An Error while recording: `what` would become a constant of the program.
void forbid_while_recording(const char* what);

}  // namespace ranvier
