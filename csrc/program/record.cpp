// Recording and replay; see ranvier/program.h.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "autograd/node.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "ops/loops.h"
#include "program/plan.h"
#include "program/recorder.h"

namespace ranvier {

Recorder*& recorder() {
  thread_local Recorder* current = nullptr;
  return current;
}

bool contains(const Tensors& list, const Tensor& t) {
  return std::any_of(list.begin(), list.end(), [&](const Tensor& u) { return u.same(t); });
}

namespace {

class Recording {
 public:
  explicit Recording(Recorder* r) {
    if (recorder()) fail(ErrorKind::runtime, "[record] expected one recording at a time");
    recorder() = r;
    recording = true;
  }
  ~Recording() {
    recorder() = nullptr;
    recording = false;
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
};

// The strides of a copy: those of the tensor where it is dense, as clone() has them.
Dims strides_like(const Tensor& t) {
  return t.is_dense() ? t.strides() : contiguous_strides(t.shape());
}

// Bytes alone move where both lie alike, as a step's inputs mostly do.
void copy_over(const Tensor& to, const Tensor& from) {
  if (to.dtype() == from.dtype() && to.is_dense() && same_layout(to, from))
    std::memcpy(to.raw(), from.raw(), static_cast<size_t>(to.numel()) * size_of(to.dtype()));
  else
    copy(to, from);
}

Tensors copies(const Tensors& tensors) {
  static const Op clone("clone");
  const NoGrad off;
  Tensors result;
  for (const Tensor& t : tensors) result.push_back(clone({t}));
  return result;
}

}  // namespace

void Program::Plan::prepare() {
  std::unordered_set<Storage*> seen;
  for (const Instruction& step : instructions) {
    calls.push_back(prepared_call(*step.op, step.attrs, step.inputs, step.outputs));
    step.op->for_mutated(step.inputs.size(), [&](size_t i) {
      if (!step.inputs[i].defined()) return;
      Storage* const storage = step.inputs[i].impl()->storage.get();
      if (seen.insert(storage).second) changed.push_back(storage);
    });
  }
}

void Program::Plan::check(const Tensors& given) const {
  if (given.size() != inputs.size())
    fail(ErrorKind::value, "[replay] expected ", inputs.size(), " inputs, got ", given.size());
  for (size_t i = 0; i < given.size(); ++i)
    if (!given[i].defined() || given[i].shape() != inputs[i].shape() ||
        given[i].dtype() != inputs[i].dtype())
      fail(ErrorKind::shape, "[replay] expected input ", i, " as recorded, ",
           to_string(inputs[i].shape()), " ", name_of(inputs[i].dtype()), ", got ",
           given[i].defined() ? to_string(given[i].shape()) + " " + name_of(given[i].dtype())
                              : "None");
}

Program Program::record(const std::function<Tensors(const Tensors&)>& function,
                        const Tensors& inputs) {
  auto plan = std::make_unique<Plan>();
  plan->inputs = copies(inputs);
  {
    Recorder recorder;
    {
      const Recording now(&recorder);
      for (const Tensor& t : function(plan->inputs)) plan->outputs.push_back(t.detach());
    }
    // A gradient that was written where none was would be added to what is there the next time.
    for (const Tensor& leaf : recorder.unsettled)
      if (grad(leaf).defined())
        fail(ErrorKind::runtime, "[record] expected the gradient of ", to_string(leaf.shape()),
             " to be cleared within the recorded function; call optimizer.zero_grad() in it");
    for (const Tensor& leaf : recorder.written) {
      if (contains(plan->leaves, leaf)) continue;
      plan->leaves.push_back(leaf);
      plan->gradients.push_back(grad(leaf));
    }
    plan->instructions = std::move(recorder.instructions);
  }
  // The graph has done its work; results must not keep it alive.
  for (const Instruction& step : plan->instructions)
    for (const Tensor& t : step.outputs)
      if (!is_leaf(t)) t.impl()->autograd.reset();
  plan->first = copies(plan->outputs);
  Tensors outside = plan->inputs;
  for (const Tensors* more : {&plan->outputs, &plan->leaves, &plan->gradients})
    for (const Tensor& t : *more) outside.push_back(t);
  optimize(plan->instructions, outside);
  plan->arena = Arena(plan->instructions, outside);
  plan->prepare();
  return Program(std::move(plan));
}

Program::Program(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const Tensors& Program::first() const { return plan_->first; }
std::size_t Program::size() const { return plan_->instructions.size(); }
std::size_t Program::arena_bytes() const { return plan_->arena.bytes(); }

Tensors Program::replay(const Tensors& inputs) {
  Plan& plan = *plan_;
  plan.check(inputs);
  forbid_while_recording("a replay");
  const std::lock_guard<std::mutex> alone(plan.running);
  const NoGrad off;
  const IeeeArithmetic ieee;
  const InsideKernel kernel;
  for (size_t i = 0; i < inputs.size(); ++i) copy_over(plan.inputs[i], inputs[i]);
  for (const Prepared& call : plan.calls) call();
  for (Storage* const storage : plan.changed) ++storage->version;
  // Somebody may have cleared a gradient in between, as PyTorch code does.
  for (size_t i = 0; i < plan.leaves.size(); ++i)
    autograd_meta(plan.leaves[i]).grad = plan.gradients[i];
  Tensors results;
  for (const Tensor& t : plan.outputs) {
    results.push_back(Tensor::empty_strided(t.shape(), strides_like(t), t.dtype()));
    copy_over(results.back(), t);
  }
  return results;
}

}  // namespace ranvier
