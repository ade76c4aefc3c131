// The graph that engine.cpp walks: leaves, nodes, and how an op that ran becomes one.
#include <algorithm>

#include "autograd/node.h"
#include "core/recording.h"
#include "core/structure.h"
#include "program/recorder.h"

namespace ranvier {
namespace {

thread_local bool enabled = true;
std::atomic<uint64_t> next_sequence{1};

// A view whose base was changed in place since gets its history anew.
void follow_base(const Tensor& t) {
  const TensorImpl* base = t.impl()->base.get();
  if (base && base->autograd && base->autograd->history != t.impl()->base_history) renew_view(t);
}

}  // namespace

bool grad_enabled() { return enabled; }
void set_grad_enabled(bool value) { enabled = value; }

void* AutogradMeta::operator new(std::size_t bytes) { return pool_new(bytes); }
void AutogradMeta::operator delete(void* p, std::size_t bytes) noexcept { pool_give(p, bytes); }
AutogradMeta::AutogradMeta() = default;
AutogradMeta::~AutogradMeta() { set_node(*this, {}, 0); }

void set_node(AutogradMeta& meta, const Ref<Node>& node, int output) {
  if (meta.retains_grad && meta.node)
    std::erase_if(meta.node->retaining, [&](const auto& entry) { return entry.second == &meta; });
  meta.node = node;
  meta.output = output;
  if (meta.retains_grad && node) node->retaining.emplace_back(output, &meta);
}

AutogradMeta& autograd_meta(const Tensor& t) {
  follow_base(t);
  if (!t.impl()->autograd) t.impl()->autograd = std::make_unique<AutogradMeta>();
  return *t.impl()->autograd;
}

namespace {
void expect_tensor(const Tensor& t) {
  if (!t.defined()) fail(ErrorKind::type, "[autograd] expected a tensor, got None");
}
}  // namespace

bool requires_grad(const Tensor& t) {
  expect_tensor(t);
  follow_base(t);
  const AutogradMeta* m = t.impl()->autograd.get();
  return m && (m->requires_grad || m->node);
}
bool is_leaf(const Tensor& t) {
  follow_base(t);
  return !t.impl()->autograd || !t.impl()->autograd->node;
}

void set_requires_grad(const Tensor& t, bool value) {
  expect_tensor(t);
  if (value && !is_floating(t.dtype()))
    fail(ErrorKind::runtime, "[requires_grad] expected a floating dtype, got ", name_of(t.dtype()),
         "; only floating tensors have gradients");
  if (!is_leaf(t)) {
    if (value) return;
    fail(ErrorKind::runtime,
         "[requires_grad] expected a leaf, got the result of an op; use detach()");
  }
  bool& asked = autograd_meta(t).requires_grad;
  if (asked != value && t.impl()->watched) structure_changed();
  asked = value;
}

Tensor grad(const Tensor& t) {
  expect_tensor(t);
  if (recorder()) recorder()->note_gradient(t, Recorder::Event::read);
  return t.impl()->autograd ? t.impl()->autograd->grad : Tensor();
}

void set_grad(const Tensor& t, const Tensor& value) {
  expect_tensor(t);
  // Clearing is part of a step; another tensor in its place would be out of the program's sight.
  if (value.defined() && recording && !end_recording("assigns a gradient", false))
    forbid_while_recording("an assigned gradient");
  if (value.defined() && (value.shape() != t.shape() || value.dtype() != t.dtype()))
    fail(ErrorKind::shape, "[grad] expected ", to_string(t.shape()), " ", name_of(t.dtype()),
         ", got ", to_string(value.shape()), " ", name_of(value.dtype()));
  if (recorder()) recorder()->note_gradient(t, Recorder::Event::clear);
  autograd_meta(t).grad = value;
}

void forget_history(const Tensor& t) {
  if (!is_leaf(t)) set_node(autograd_meta(t), {}, 0);
}

void retain_grad(const Tensor& t) {
  if (!requires_grad(t))
    fail(ErrorKind::runtime, "[retain_grad] expected a tensor with gradient, got one without");
  AutogradMeta& m = autograd_meta(t);
  if (m.retains_grad || !m.node) return;
  m.retains_grad = true;
  m.node->retaining.emplace_back(m.output, &m);
}

std::function<void()> add_hook(const Tensor& t, Hook hook) {
  static std::atomic<int64_t> next{1};
  if (!requires_grad(t))
    fail(ErrorKind::runtime, "[register_hook] expected a tensor with gradient, got one without");
  if (t.impl()->watched) structure_changed();
  AutogradMeta& m = autograd_meta(t);
  std::shared_ptr<HookList>& list = m.node ? m.node->hooks : m.hooks;
  if (!list) list = std::make_shared<HookList>();
  const int64_t id = next++;
  list->push_back({id, m.output, std::move(hook)});
  return [id, where = std::weak_ptr<HookList>(list)] {
    if (const auto hooks = where.lock())
      std::erase_if(*hooks, [&](const HookEntry& h) { return h.id == id; });
  };
}

bool has_hooks(const Tensor& t) {
  const AutogradMeta* const m = t.impl()->autograd.get();
  if (!m) return false;
  const std::shared_ptr<HookList>& list = m->node ? m->node->hooks : m->hooks;
  return list && !list->empty();
}

Node::~Node() {
  // A long chain of nodes would free itself recursively; this list makes it a loop.
  thread_local SmallVector<Ref<Node>, 3>* waiting = nullptr;
  if (waiting) {
    for (Ref<Node>& parent : parents) waiting->push_back(std::move(parent));
    return;
  }
  SmallVector<Ref<Node>, 3> list = std::move(parents);
  waiting = &list;
  inputs.clear();
  while (!list.empty()) {
    const Ref<Node> next = std::move(list.back());
    list.pop_back();
  }
  waiting = nullptr;
}

namespace {

bool asks(const Tensor& t) { return t.defined() && requires_grad(t); }

// Where the inputs came from, and that the outputs come from the node.
void connect(const Ref<Node>& node, const Tensors& inputs, const Tensors& outputs) {
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  for (const Tensor& t : inputs) {
    node->in_meta.push_back(t.defined() ? meta_of(t) : Meta{});
    const bool wanted = asks(t);
    node->leaves.push_back(wanted && is_leaf(t) ? t : Tensor());
    node->parents.push_back(wanted ? autograd_meta(t).node : Ref<Node>());
    node->parent_outputs.push_back(wanted ? autograd_meta(t).output : 0);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    node->out_meta.push_back(outputs[i].defined() ? meta_of(outputs[i]) : Meta{});
    if (!outputs[i].defined() || !is_floating(outputs[i].dtype())) continue;
    set_node(autograd_meta(outputs[i]), node, static_cast<int>(i));
  }
}

}  // namespace

InputSet asked_for(const Tensors& inputs) {
  InputSet asked = 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (asks(inputs[i])) asked |= input_bit(i);
  return asked;
}

void record_function(std::unique_ptr<Function> function, const Tensors& inputs,
                     const Tensors& outputs) {
  if (!enabled || std::none_of(inputs.begin(), inputs.end(), asks)) return;
  const Ref<Node> node(new Node);
  node->function_name = function->name();
  node->function = std::move(function);
  connect(node, inputs, outputs);
  for (const Tensor& t : outputs)  // one that was changed in place may have views
    if (t.defined()) ++autograd_meta(t).history;
}

void record_gradient(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                     const Tensors& outputs) {
  const InputSet asked = enabled ? asked_for(inputs) : 0;
  if (!asked) return;
  const Ref<Node> node(new Node);
  node->op = &op;
  node->attrs = attrs;
  node->inputs.resize(inputs.size());
  node->outputs.resize(outputs.size());
  const auto keep = [&](size_t i) {
    if (inputs[i].defined()) node->inputs[i] = {inputs[i], inputs[i].impl()->storage->version};
  };
  for (const SavedValue& saved : op.saved_in) {
    if (!(saved.serves & asked)) continue;
    if (static_cast<size_t>(saved.place) < inputs.size()) keep(static_cast<size_t>(saved.place));
    // A variadic input is saved as a whole.
    if (op.variadic && saved.place + 1 == static_cast<int>(op.inputs.size()))
      for (size_t i = op.inputs.size(); i < inputs.size(); ++i) keep(i);
  }
  // An output that held itself through its node would never be freed: keep another handle.
  const bool results = !op.saves_results || op.saves_results(AttrReader(op, attrs));
  for (const auto& [i, serves] : op.saved_out)
    if (results && (serves & asked) && static_cast<size_t>(i) < outputs.size())
      node->outputs[i] = {outputs[i].detach(), outputs[i].impl()->storage->version};
  connect(node, inputs, outputs);
}

}  // namespace ranvier
