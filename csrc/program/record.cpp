// Recording and replay; see ranvier/program.h.
#include <algorithm>
#include <map>

#include "autograd/node.h"
#include "core/recording.h"
#include "ops/op.h"
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

Tensors copies(const Tensors& tensors) {
  static const Op clone("clone");
  const NoGrad off;
  Tensors result;
  for (const Tensor& t : tensors) result.push_back(clone({t}));
  return result;
}

}  // namespace

Program Program::record(const std::function<Tensors(const Tensors&)>& function,
                        const Tensors& inputs) {
  Program program;
  program.inputs_ = copies(inputs);
  Recorder recorder;
  {
    const Recording now(&recorder);
    for (const Tensor& t : function(program.inputs_)) program.outputs_.push_back(t.detach());
  }
  // A gradient that was written where none was would be added to what is there the next time.
  for (const Tensor& leaf : recorder.unsettled)
    if (grad(leaf).defined())
      fail(ErrorKind::runtime, "[record] expected the gradient of ", to_string(leaf.shape()),
           " to be cleared within the recorded function; call optimizer.zero_grad() in it");
  for (const Tensor& leaf : recorder.written) {
    if (contains(program.leaves_, leaf)) continue;
    program.leaves_.push_back(leaf);
    program.gradients_.push_back(grad(leaf));
  }
  program.instructions_ = std::move(recorder.instructions);
  // The graph has done its work; results must not keep it alive.
  for (const Instruction& step : program.instructions_)
    for (const Tensor& t : step.outputs)
      if (!is_leaf(t)) t.impl()->autograd.reset();
  program.first_ = copies(program.outputs_);
  return program;
}

Tensors Program::replay(const Tensors& inputs) {
  if (inputs.size() != inputs_.size())
    fail(ErrorKind::value, "[replay] expected ", inputs_.size(), " inputs, got ", inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].defined() || inputs[i].shape() != inputs_[i].shape() ||
        inputs[i].dtype() != inputs_[i].dtype())
      fail(ErrorKind::shape, "[replay] expected input ", i, " as recorded, ",
           to_string(inputs_[i].shape()), " ", name_of(inputs_[i].dtype()), ", got ",
           inputs[i].defined() ? to_string(inputs[i].shape()) + " " + name_of(inputs[i].dtype())
                               : "None");
  forbid_while_recording("a replay");
  const NoGrad off;
  static const Op copy_("copy_");
  for (size_t i = 0; i < inputs.size(); ++i) copy_({inputs_[i], inputs[i]});
  // Views are the memory of what they look at, so they need no instruction here.
  for (const Instruction& step : instructions_)
    if (step.op->forward) execute(*step.op, step.attrs, step.inputs, step.outputs);
  // Somebody may have cleared a gradient in between, as PyTorch code does.
  for (size_t i = 0; i < leaves_.size(); ++i) autograd_meta(leaves_[i]).grad = gradients_[i];
  return copies(outputs_);
}

std::string Program::dump() const {
  std::map<const TensorImpl*, std::string> names;
  const auto name = [&](const Tensor& t, char kind) {
    const auto [it, fresh] = names.try_emplace(t.impl());
    if (fresh) it->second = kind + std::to_string(names.size() - 1);
    return it->second + to_string(t.shape());
  };
  for (const Tensor& t : inputs_) name(t, 'i');
  std::string text;
  for (const Instruction& step : instructions_) {
    std::string arguments;
    for (const Tensor& t : step.inputs)
      arguments += (arguments.empty() ? "" : ", ") + (t.defined() ? name(t, 'h') : "None");
    for (size_t i = 0; i < step.attrs.size(); ++i)
      arguments += ", " + step.op->attrs[i].name + "=" + to_string(step.attrs[i]);
    std::string results;
    for (const Tensor& t : step.outputs) results += (results.empty() ? "" : ", ") + name(t, 't');
    text += results + (results.empty() ? "" : " = ") + step.op->name + "(" + arguments + ")\n";
  }
  return text;
}

}  // namespace ranvier
