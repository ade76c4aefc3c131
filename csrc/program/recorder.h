// What the dispatcher and autograd tell a recording. One per thread, null while nothing records.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ranvier/program.h"

namespace ranvier {

struct Recorder {
  std::vector<Instruction> instructions;
  Tensors written;    // leaves whose gradient backward wrote or added to
  Tensors cleared;    // leaves whose gradient was taken away
  Tensors unsettled;  // leaves written where no gradient was, before any clearing
};

// The line of the user's program that runs now. The bindings set it; null: nobody knows.
using Place = std::shared_ptr<const std::string>;
inline Place (*current_place)() = nullptr;

Recorder*& recorder();

bool contains(const Tensors& list, const Tensor& t);

}  // namespace ranvier
