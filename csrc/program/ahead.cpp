// See ahead.h.
#include "program/ahead.h"

#include <algorithm>

#include "program/list.h"

namespace ranvier {
namespace {

constexpr size_t kWorthMoving = 1 << 14;  // bytes; to hand over less costs as much as it takes

bool meets(const std::vector<std::pair<const char*, const char*>>& ranges, const Storage& s) {
  const auto* const begin = static_cast<const char*>(s.data);
  return std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
    return range.first < begin + s.bytes && begin < range.second;
  });
}

// Which instructions can be done before their step: they only move elements, out of arguments and
// of memory that stays as it is, to where nobody else writes.
class Early {
 public:
  explicit Early(const Program::Plan& plan) : plan_(plan), uses_(plan.instructions, {}) {
    for (const Result& r : plan.results)
      if (r.tensor.defined()) seen_[r.tensor.impl()->storage.get()] = true;
    for (const Tensor& t : plan.inputs) own_[t.impl()->storage.get()] = true;
    for (const Instruction& step : plan.instructions) {
      which_.push_back(!plan.chains.at(which_.size()) && is_early(step));
      if (!which_.back()) continue;
      for (const Tensor& t : step.outputs) {
        own_[t.impl()->storage.get()] = true;
        bytes_ += t.impl()->storage->bytes;
      }
    }
  }
  const std::vector<bool>& which() const { return which_; }
  size_t bytes() const { return bytes_; }
  // The memory of arguments, and of what is made of them early.
  const PointerMap<Storage, bool>& own() const { return own_; }

 private:
  bool is_early(const Instruction& step) {
    const OpDef& op = *step.op;
    if (!op.moves || !op.mutates.empty()) return false;
    for (const Tensor& t : step.inputs) {
      if (!t.defined()) continue;
      Storage& s = *t.impl()->storage;
      if (own_.contains(&s)) continue;
      if (!uses_.of(t).writes.empty() || meets(plan_.changing, s)) return false;
    }
    return std::all_of(step.outputs.begin(), step.outputs.end(), [&](const Tensor& t) {
      const MemoryUse& use = uses_.of(t);
      return use.made_by >= 0 && use.writes.size() == 1 && !seen_.contains(t.impl()->storage.get());
    });
  }

  const Program::Plan& plan_;
  MemoryUses uses_;
  PointerMap<Storage, bool> seen_, own_;
  std::vector<bool> which_;
  size_t bytes_ = 0;
};

// The same tensors elsewhere.
class Moved {
 public:
  explicit Moved(const PointerMap<Storage, bool>& which) {
    for (const auto& entry : which)
      places_[entry.key] = Ref<Storage>(new Storage(entry.key->bytes));
  }
  Tensor of(const Tensor& t) {
    const Ref<Storage>* const place = t.defined() ? places_.find(t.impl()->storage.get()) : nullptr;
    if (!place) return t;
    Tensor& moved = handles_[t.impl()];
    if (!moved.defined()) {
      moved = t.alias(t.shape(), t.strides(), t.impl()->offset);
      moved.impl()->storage = *place;
    }
    return moved;
  }
  Instruction of(Instruction step) {
    for (Tensor& t : step.inputs) t = of(t);
    for (Tensor& t : step.outputs) t = of(t);
    return step;
  }

 private:
  PointerMap<Storage, Ref<Storage>> places_;
  PointerMap<TensorImpl, Tensor> handles_;
};

}  // namespace

std::unique_ptr<Ahead> Ahead::of(Program::Plan& plan) {
  const auto any = [](const std::vector<bool>& flags) {
    return std::any_of(flags.begin(), flags.end(), [](bool flag) { return flag; });
  };
  if (any(plan.lent) || any(plan.written)) return nullptr;
  const Early early(plan);
  if (early.bytes() < kWorthMoving) return nullptr;
  auto ahead = std::make_unique<Ahead>();
  plan.counting([&] {
    for (Side& side : ahead->sides_) {
      Moved moved(early.own());
      for (const Instruction& step : plan.instructions) side.steps.push_back(moved.of(step));
      for (const Tensor& t : plan.inputs) side.inputs.push_back(moved.of(t));
      side.early = plan.calls_of(side.steps, [&](size_t i) { return early.which()[i]; });
      side.rest = plan.calls_of(side.steps, [&](size_t i) { return !early.which()[i]; });
    }
  });
  return ahead;
}

void Ahead::Side::bring() {
  const Running running;
  for (size_t i = 0; i < inputs.size(); ++i) take_in(inputs[i], arguments[i]);
  for (const Prepared& call : early) call();
}

void Ahead::compute(Program::Plan& plan, std::span<const Argument> now,
                    std::span<const Argument> next) {
  Side &side = sides_[turn_], &other = sides_[!turn_];
  if (side.bringing.pending()) {
    side.bringing.wait();
  } else {
    side.arguments = {now.begin(), now.end()};
    side.bring();
  }
  if (!next.empty()) {
    other.arguments = {next.begin(), next.end()};
    other.bringing.offer([](void* it) { static_cast<Side*>(it)->bring(); }, &other);
  }
  const Lending lending(plan, now);
  plan.run(side.rest);
  turn_ = !turn_;
}

void Ahead::drop() {
  for (Side& side : sides_) side.bringing.drop();
}

}  // namespace ranvier
