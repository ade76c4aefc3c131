// What a function ran, instruction by instruction, as it ran it: for files, which plan it again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ranvier/program.h"

namespace ranvier {

// `ended` says what could not be written down; the list is then not whole.
struct Listing {
  std::vector<Instruction> steps;
  Tensors results;
  std::string ended;
};

Listing record_listing(const std::function<Tensors(const Tensors&)>& function,
                       const Tensors& inputs);

}  // namespace ranvier
