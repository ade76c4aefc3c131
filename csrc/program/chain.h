// Neighbours in a list that sweep over the same elements: they run as one, block by block,
// so that what one of them makes is still in the cache when the next one reads it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "program/list.h"

namespace ranvier {

// Instructions that run as one: from `first` to before `last`.
struct Chain {
  size_t first, last;
};

// What is found in a list. Every bit stays: an element is computed from the same elements, in the
// same way, wherever a block begins.
class Chains {
 public:
  Chains() = default;
  // Small instructions that stand between those of a chain go before it.
  Chains(std::vector<Instruction>& steps, const Tensors& outside);
  // The chain that an instruction is part of, or null.
  const Chain* at(size_t step) const;
  // Whether a storage is written and read within one chain alone: a block of it at a time is all
  // that there is.
  bool inside(const Storage& storage) const { return inside_.contains(&storage); }
  size_t size() const { return chains_.size(); }

  // What a replay does for a chain; the instructions have to outlive it. Tensors' memory may be
  // elsewhere in each call.
  Prepared prepared(const std::vector<Instruction>& steps, const Chain& chain) const;

 private:
  void find_inside(const std::vector<Instruction>& steps, Chain chain, MemoryUses& uses);
  std::vector<Chain> chains_;
  PointerMap<Storage, bool> inside_;
};

}  // namespace ranvier
