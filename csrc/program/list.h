// The list of instructions of a program while it is made ready: who reads and writes which memory.
#pragma once

#include <vector>

#include "ops/op.h"
#include "program/pointer_map.h"
#include "ranvier/program.h"

namespace ranvier {

// Views look at memory that is there: a replay has nothing to do for them.
inline bool runs(const Instruction& step) { return step.op->forward != nullptr; }

// What instructions do with the memory of one storage, by their places in the list.
struct MemoryUse {
  SmallVector<size_t, 4> reads, writes;
  int made_by = -1;   // the instruction whose result it is; -1: it was there before
  bool kept = false;  // somebody outside the list can see it
  size_t first() const;
  size_t last() const;
};

class MemoryUses {
 public:
  // `outside`: tensors of the program that callers see, or write to.
  MemoryUses(const std::vector<Instruction>& steps, const Tensors& outside);
  MemoryUse& of(const Tensor& t) { return uses_[t.impl()->storage.get()]; }
  PointerMap<Storage, MemoryUse>& all() { return uses_; }
  // The instruction `at`, which only copied `from` to `to`, is left out: whoever wrote to `from`
  // writes to `to`.
  void join(const Tensor& from, const Tensor& to, size_t at);
  // Whether nothing between two instructions writes to the memory of `t`.
  bool stays(const Tensor& t, size_t from, size_t to);

 private:
  PointerMap<Storage, MemoryUse> uses_;
};

// Takes copies away and puts neighbours together, where every bit stays: see optimize.cpp.
void optimize(std::vector<Instruction>& steps, const Tensors& outside);

class Chains;  // chain.h

// One block of memory for all temporary results; those that do not live at the same time share it.
class Arena {
 public:
  Arena() = default;
  // Instructions of a chain run at the same time.
  Arena(MemoryUses& uses, const Chains& chains);
  Arena(Arena&& other) noexcept { *this = std::move(other); }
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();
  // Of one for these.
  static std::size_t bytes_for(MemoryUses& uses, const Chains& chains);
  std::size_t bytes() const { return bytes_; }
  // Where `storage` lies in it; -1: elsewhere.
  std::ptrdiff_t offset_of(const Storage& storage) const;

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ranvier
