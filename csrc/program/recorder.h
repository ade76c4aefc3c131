// What the dispatcher and autograd tell a recording. One per thread, null while nothing records.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program/pointer_map.h"
#include "ranvier/program.h"

namespace ranvier {

// A leaf whose gradient was looked at, written or taken away.
struct LeafUse {
  Tensor leaf;
  Tensor before;         // its gradient until then; undefined: none
  bool cleared = false;  // the first thing that happened to it: what was before does not matter
  bool written = false;  // by backward
};

struct Recorder {
  std::vector<Instruction> instructions;
  std::vector<LeafUse> leaves;
  PointerMap<TensorImpl, size_t> places;  // of leaves, from 1
  bool may_end = false;                   // by what cannot be recorded, which goes on
  bool may_end_by_read = false;           // also by a read of a value
  std::string ended;                      // by what it was

  enum class Event { read, write, clear };
  void note_gradient(const Tensor& leaf, Event event);
};

// The line of the user's program that runs now. The bindings set it; null: nobody knows.
using Place = std::shared_ptr<const std::string>;
inline Place (*current_place)() = nullptr;

Recorder*& recorder();

}  // namespace ranvier
