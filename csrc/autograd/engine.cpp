// The differentiation engine. It walks nodes from the latest to the earliest, asks each op for the
// gradients of its inputs and hands them on. It names no op; sums are Tensor's operators.
#include <map>
#include <queue>

#include "autograd/node.h"
#include "program/recorder.h"

namespace ranvier {
namespace {

void add_to(Tensor& sum, const Tensor& g) { sum = sum.defined() ? sum + g : g; }

// The first gradient is written, never added to zero: 0 + (-0) would change its bits. A gradient
// that something else may hold (a view, an expanded scalar, the caller's seed) is copied.
void accumulate(const Tensor& leaf, const Tensor& g) {
  AutogradMeta& m = autograd_meta(leaf);
  if (recorder()) recorder()->written.push_back(leaf);
  if (!m.grad.defined()) {
    const bool shared = g.impl()->refs > 1 || g.impl()->storage->refs > 1 || !g.is_dense();
    m.grad = shared || recorder() ? clone(g) : g;
    if (recorder() && !contains(recorder()->cleared, leaf)) recorder()->unsettled.push_back(leaf);
  } else {
    m.grad += g;
  }
}

Tensors unpack(const std::vector<Saved>& saved, const Node& node, const char* what) {
  Tensors tensors;
  for (const Saved& s : saved) {
    if (s.tensor.defined() && s.tensor.impl()->storage->version != s.version)
      fail(ErrorKind::runtime, "[backward] expected what '", node.op->name, "' saved (", what, " ",
           to_string(s.tensor.shape()),
           ") unchanged, got a tensor that was changed in place since");
    tensors.push_back(s.tensor);
  }
  return tensors;
}

// Where the op declares no backward, its composite is differentiated in its place.
Tensors through_composite(const BackwardArgs& args) {
  Tensors inputs;
  for (size_t i = 0; i < args.in.size(); ++i) {
    inputs.push_back(args.in[i].defined() ? args.in[i].detach() : Tensor());
    if (args.needs[i]) set_requires_grad(inputs.back(), true);
  }
  set_grad_enabled(true);
  const Tensors outputs = args.op().composite(inputs, args);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (args.grad[i].defined()) backward(outputs[i], args.grad[i]);
  set_grad_enabled(false);
  Tensors grads;
  for (const Tensor& t : inputs) {
    grads.push_back(t.defined() ? grad(t) : Tensor());
    if (t.defined()) set_grad(t, {});  // these leaves are nobody else's
  }
  return grads;
}

Tensors run_backward(const Node& node, const Tensors& grads) {
  Flags needs;
  for (size_t i = 0; i < node.parents.size(); ++i)
    needs.push_back(node.leaves[i].defined() || node.parents[i]);
  const Tensors in = unpack(node.inputs, node, "input"), out = unpack(node.outputs, node, "result");
  const BackwardArgs args(*node.op, node.attrs, in, out, grads, node.in_meta, needs);
  return node.op->backward ? node.op->backward(args) : through_composite(args);
}

// An earlier backward may have freed a part of the graph: said before anything is computed.
void expect_whole(const Ref<Node>& root) {
  static std::atomic<uint64_t> walks{0};
  const uint64_t walk = ++walks;
  std::vector<Node*> open = {root.get()};
  while (!open.empty()) {
    Node* const node = open.back();
    open.pop_back();
    if (node->released)
      fail(ErrorKind::runtime, "[backward] expected a graph that is still there, got one that an ",
           "earlier backward() freed ('", node->op->name, "'); use retain_graph=True there");
    for (const Ref<Node>& parent : node->parents)
      if (parent && parent->seen != walk) {
        parent->seen = walk;
        open.push_back(parent.get());
      }
  }
}

struct Latest {
  bool operator()(const Ref<Node>& a, const Ref<Node>& b) const {
    return a->sequence < b->sequence;
  }
};

}  // namespace

void backward(const Tensor& root, const Tensor& seed, bool retain_graph) {
  if (!requires_grad(root))
    fail(ErrorKind::runtime, "[backward] expected a tensor that came from one with requires_grad, ",
         "got one without a graph");
  if (!seed.defined() && root.numel() != 1)
    fail(ErrorKind::runtime, "[backward] expected a loss with one element, got shape ",
         to_string(root.shape()), "; call .mean() or .sum() on it, or give `gradient`");
  if (seed.defined() && (seed.shape() != root.shape() || seed.dtype() != root.dtype()))
    fail(ErrorKind::shape, "[backward] expected a gradient of shape ", to_string(root.shape()),
         " and dtype ", name_of(root.dtype()), ", got ", to_string(seed.shape()), " ",
         name_of(seed.dtype()));
  if (!is_leaf(root)) expect_whole(autograd_meta(root).node);
  const NoGrad off;
  const Tensor first = seed.defined() ? seed : Tensor::full(root.shape(), 1, root.dtype());
  if (is_leaf(root)) return accumulate(root, first);

  std::priority_queue<Ref<Node>, std::vector<Ref<Node>>, Latest> ready;
  std::map<Node*, Tensors> arrived;  // gradients of each waiting node's outputs
  const auto arrive = [&](const Ref<Node>& node, int output, const Tensor& g) {
    auto [it, fresh] = arrived.try_emplace(node.get(), node->out_meta.size());
    if (fresh) ready.push(node);
    add_to(it->second[output], g);
  };
  arrive(autograd_meta(root).node, autograd_meta(root).output, first);
  while (!ready.empty()) {
    const Ref<Node> node = ready.top();
    ready.pop();
    const Tensors grads = run_backward(*node, arrived.extract(node.get()).mapped());
    for (size_t i = 0; i < grads.size() && i < node->parents.size(); ++i) {
      if (!grads[i].defined()) continue;
      if (node->parents[i])
        arrive(node->parents[i], node->parent_outputs[i], grads[i]);
      else if (node->leaves[i].defined())
        accumulate(node->leaves[i], grads[i]);
    }
    if (retain_graph) continue;
    node->released = true;
    node->inputs.clear();
    node->outputs.clear();
  }
}

}  // namespace ranvier
