// What a recorded list can do without, and which neighbours are one instruction. Every rule keeps
// every bit: the fused op computes what its parts do, in the same order.
#include <algorithm>
#include <functional>
#include <optional>

#include "ops/loops.h"
#include "ops/matmul.h"
#include "program/list.h"

namespace ranvier {
namespace {

using Steps = std::vector<Instruction>;

bool is(const Instruction& step, const OpDef& op) { return step.op == &op; }

// The only instruction that reads the result of `at` behind it, where nobody outside sees it.
std::optional<size_t> only_reader(const Steps& steps, MemoryUses& uses, size_t at) {
  const Instruction& step = steps[at];
  if (step.outputs.size() != 1) return {};
  const MemoryUse& use = uses.of(step.outputs[0]);
  if (use.kept || use.made_by != static_cast<int>(at) || use.writes.size() != 1) return {};
  if (use.reads.size() != 1) return {};
  return use.reads[0];
}

// A gradient is copied to where the leaf holds it. Whoever made it writes there at once, where the
// copy is the last to read it.
void drop_copies(Steps& steps, MemoryUses& uses, std::vector<bool>& gone) {
  static const Op clone("clone");
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!is(steps[i], clone.def())) continue;
    const Tensor from = steps[i].inputs[0], to = steps[i].outputs[0];
    const MemoryUse &source = uses.of(from), &target = uses.of(to);
    const bool whole = from.impl()->storage->bytes == to.impl()->storage->bytes &&
                       from.impl()->offset == 0 && to.impl()->offset == 0 &&
                       from.dtype() == to.dtype() && from.is_dense() && same_layout(from, to);
    if (!whole || source.kept || source.made_by < 0 || source.last() != i) continue;
    if (target.made_by != static_cast<int>(i)) continue;
    uses.join(from, to, i);
    const Ref<Storage> old = from.impl()->storage, now = to.impl()->storage;
    for (const Instruction& step : steps) {
      for (const Tensor& t : step.inputs)
        if (t.defined() && t.impl()->storage == old) t.impl()->storage = now;
      for (const Tensor& t : step.outputs)
        if (t.impl()->storage == old) t.impl()->storage = now;
    }
    gone[i] = true;
  }
}

// linear, then an activation that linear can apply: one instruction.
void fuse_activations(Steps& steps, MemoryUses& uses, std::vector<bool>& gone) {
  static const Op linear("linear");
  for (size_t i = 0; i < steps.size(); ++i) {
    if (gone[i] || !is(steps[i], linear.def()) || AttrReader(linear.def(), steps[i].attrs).given(0))
      continue;
    if (is_half(steps[i].outputs[0].dtype())) continue;  // which rounds in between
    const auto reader = only_reader(steps, uses, i);
    if (!reader || !applies_in_linear(*steps[*reader].op)) continue;
    Instruction& next = steps[*reader];
    const bool stay =
        std::all_of(steps[i].inputs.begin(), steps[i].inputs.end(),
                    [&](const Tensor& t) { return !t.defined() || uses.stays(t, i, *reader); });
    if (!stay || next.outputs[0].strides() != steps[i].outputs[0].strides()) continue;
    next = {steps[i].op, {next.op->name}, steps[i].inputs, next.outputs, steps[i].where};
    gone[i] = true;
  }
}

// The gradient of a linear layer's input, then the derivative of the activation that made that
// input: one instruction.
void fuse_slopes(Steps& steps, MemoryUses& uses, std::vector<bool>& gone) {
  static const Op matmul("matmul"), input_grad("linear_input_grad");
  for (size_t i = 0; i < steps.size(); ++i) {
    if (gone[i] || !is(steps[i], matmul.def()) || steps[i].inputs[1].dim() != 2) continue;
    const DType dtype = steps[i].outputs[0].dtype();
    if (!is_floating(dtype) || is_half(dtype) || steps[i].inputs[0].dim() < 2) continue;
    const auto reader = only_reader(steps, uses, i);
    if (!reader) continue;
    Instruction& next = steps[*reader];
    const OpDef* const activation = slope_of(*next.op);
    if (!activation || !next.inputs[0].same(steps[i].outputs[0])) continue;
    const bool by_input = next.inputs[1].defined();
    const Tensor saved = by_input ? next.inputs[1] : next.inputs[3];
    if (!saved.defined() || next.inputs[2].defined() || by_input == next.inputs[3].defined())
      continue;
    if (!uses.stays(steps[i].inputs[0], i, *reader) || !uses.stays(steps[i].inputs[1], i, *reader))
      continue;
    if (next.outputs[0].strides() != steps[i].outputs[0].strides()) continue;
    next = {&input_grad.def(),
            {activation->name},
            {steps[i].inputs[0], steps[i].inputs[1], saved},
            next.outputs,
            next.where};
    gone[i] = true;
  }
}

}  // namespace

void optimize(std::vector<Instruction>& steps, const Tensors& outside) {
  std::erase_if(steps, [](const Instruction& step) { return !runs(step); });
  // What is gone stays in its place until the end, so that places mean the same to all.
  MemoryUses uses(steps, outside);
  std::vector<bool> gone(steps.size(), false);
  drop_copies(steps, uses, gone);
  fuse_activations(steps, uses, gone);
  fuse_slopes(steps, uses, gone);
  size_t at = 0;
  std::erase_if(steps, [&](const Instruction&) { return gone[at++]; });
}

}  // namespace ranvier
