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
  const PointerMap<TensorImpl, int>& tensors() const { return counts_; }
  int tensors_of(const Storage* storage) const {
    const int* const count = storages_.find(storage);
    return count ? *count : 0;
  }

 private:
  PointerMap<TensorImpl, int> counts_;
  PointerMap<Storage, int> storages_;
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

void MemoryUses::join(const Tensor& from, const Tensor& to, size_t at) {
  MemoryUse source = std::move(of(from));
  MemoryUse& target = of(to);
  of(from) = {};
  for (const size_t i : target.reads) source.reads.push_back(i);
  for (const size_t i : target.writes) source.writes.push_back(i);
  for (auto* places : {&source.reads, &source.writes}) {
    const auto end = std::remove(places->begin(), places->end(), at);
    places->resize(static_cast<size_t>(end - places->begin()));
  }
  source.kept = target.kept;
  target = std::move(source);
}

bool MemoryUses::stays(const Tensor& t, size_t from, size_t to) {
  const MemoryUse& use = of(t);
  return std::none_of(use.writes.begin(), use.writes.end(),
                      [&](size_t at) { return at > from && at < to; });
}

}  // namespace ranvier
