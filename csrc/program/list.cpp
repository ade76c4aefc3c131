// Who reads and writes which memory of a program: see list.h.
#include "program/list.h"

#include <algorithm>

namespace ranvier {
namespace {

// How often the list itself holds each tensor.
class Held {
 public:
  void add(const Tensor& t) {
    if (!t.defined()) return;
    if (++counts_[t.impl()] > 1) return;
    ++storages_[t.impl()->storage.get()];
    if (t.impl()->base) add(Tensor(t.impl()->base));
  }
  const std::unordered_map<TensorImpl*, int>& tensors() const { return counts_; }
  int tensors_of(Storage* storage) const {
    const auto it = storages_.find(storage);
    return it == storages_.end() ? 0 : it->second;
  }

 private:
  std::unordered_map<TensorImpl*, int> counts_;
  std::unordered_map<Storage*, int> storages_;
};

}  // namespace

size_t MemoryUse::first() const {
  size_t at = static_cast<size_t>(-1);
  if (!reads.empty()) at = reads.front();
  return writes.empty() ? at : std::min(at, writes.front());
}

size_t MemoryUse::last() const {
  const size_t read = reads.empty() ? 0 : reads.back();
  return writes.empty() ? read : std::max(read, writes.back());
}

MemoryUses::MemoryUses(const std::vector<Instruction>& steps, const Tensors& outside) {
  Held held;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Instruction& step = steps[i];
    for (const Tensor& t : step.inputs) held.add(t);
    for (const Tensor& t : step.outputs) held.add(t);
    if (!runs(step)) continue;
    for (const Tensor& t : step.inputs)
      if (t.defined()) of(t).reads.push_back(i);
    step.op->for_mutated(step.inputs.size(), [&](size_t k) {
      if (step.inputs[k].defined()) of(step.inputs[k]).writes.push_back(i);
    });
    for (const Tensor& t : step.outputs) {
      MemoryUse& use = of(t);
      if (use.reads.empty() && use.writes.empty()) use.made_by = static_cast<int>(i);
      use.writes.push_back(i);
    }
  }
  for (const Tensor& t : outside)
    if (t.defined()) of(t).kept = true;
  for (auto& [impl, count] : held.tensors()) {
    const Tensor t{impl};
    // `t` is one reference more than those of the list.
    if (impl->refs.load(std::memory_order_relaxed) > count + 1) of(t).kept = true;
  }
  for (auto& [storage, use] : uses_)
    if (storage->refs.load(std::memory_order_relaxed) > held.tensors_of(storage)) use.kept = true;
}

bool MemoryUses::stays(const Tensor& t, size_t from, size_t to) {
  const MemoryUse& use = of(t);
  return std::none_of(use.writes.begin(), use.writes.end(),
                      [&](size_t at) { return at > from && at < to; });
}

}  // namespace ranvier
