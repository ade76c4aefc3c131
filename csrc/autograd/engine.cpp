// The differentiation engine. It walks nodes from the latest to the earliest, asks each op for the
// gradients of its inputs and hands them on. It names no op; sums are Tensor's operators.
#include <algorithm>
#include <unordered_map>

#include "autograd/node.h"
#include "program/recorder.h"

namespace ranvier {
namespace {

void add_to(Tensor& sum, const Tensor& g) { sum = sum.defined() ? sum + g : g; }

// The gradients of a node's outputs (of a leaf, one) as their hooks leave them.
void run_hooks(const std::shared_ptr<HookList>& hooks, Tensors& grads) {
  if (!hooks) return;
  for (const auto& [id, output, hook] : HookList(*hooks)) {  // a hook may take itself away
    Tensor& g = grads[static_cast<size_t>(output)];
    if (!g.defined()) continue;
    const Tensor other = hook(g);
    if (!other.defined()) continue;
    if (other.shape() != g.shape() || other.dtype() != g.dtype())
      fail(ErrorKind::shape, "[hook] expected a gradient of shape ", to_string(g.shape()),
           " and dtype ", name_of(g.dtype()), ", got ", to_string(other.shape()), " ",
           name_of(other.dtype()));
    g = other;
  }
}

// The first gradient is written, never added to zero: 0 + (-0) would change its bits. A gradient
// that something else may hold (a view, an expanded scalar, the caller's seed) is copied.
void accumulate(const Tensor& leaf, const Tensor& given) {
  AutogradMeta& m = autograd_meta(leaf);
  Tensors one;
  if (m.hooks) run_hooks(m.hooks, one = {given});
  const Tensor& g = m.hooks ? one[0] : given;
  if (recorder()) recorder()->note_gradient(leaf, Recorder::Event::write);
  if (m.grad.defined() && g.impl() == m.grad.impl()) return;  // backward has added to it in place
  if (!m.grad.defined()) {
    const bool shared = g.impl()->refs > 1 || g.impl()->storage->refs > 1 || !g.is_dense();
    m.grad = (shared && !requires_grad(g)) || recorder() ? clone(g) : g;
  } else if (requires_grad(g) || requires_grad(m.grad)) {
    m.grad = m.grad + g;  // a gradient with a graph is not changed in place
  } else {
    m.grad += g;
  }
}

void complete(const Ref<Node>& node, Tensors& grads) {
  run_hooks(node->hooks, grads);
  for (const auto& [output, meta] : node->retaining) {
    const Tensor& g = grads[static_cast<size_t>(output)];
    if (g.defined()) meta->grad = meta->grad.defined() ? meta->grad + g : g;
  }
}

Tensors unpack(const SmallVector<Saved, 3>& saved, const Node& node, const char* what) {
  Tensors tensors;
  for (const Saved& s : saved) {
    if (s.tensor.defined() && s.tensor.impl()->storage->version != s.version)
      fail(ErrorKind::runtime, "[backward] expected what '", node.op->name, "' saved (", what, " ",
           to_string(s.tensor.shape()),
           ") unchanged, got a tensor that was changed in place since; clone() it before the ",
           "change, or use the form that makes a new tensor");
    tensors.push_back(s.tensor);
  }
  return tensors;
}

// A kept result as a part of the graph again: it was detached so that it does not hold itself.
Tensor attached(const Ref<Node>& node, const Tensor& result, int output) {
  const Tensor t = result.detach();
  set_node(autograd_meta(t), node, output);
  return t;
}

// Where the op declares no backward, its composite is differentiated in its place. The inputs are
// seen through a view each: gradients stop there, and a graph of gradients goes on behind them.
Tensors through_composite(const BackwardArgs& args) {
  const bool create_graph = grad_enabled();
  Tensors inputs, wanted;
  for (size_t i = 0; i < args.in.size(); ++i) {
    const Tensor& in = args.in[i];
    inputs.push_back(in.defined() ? in.detach() : Tensor());
    if (!args.needs[i]) continue;
    set_requires_grad(inputs.back(), true);
    if (create_graph && requires_grad(in)) inputs.back() = seen_through(in);
    wanted.push_back(inputs.back());
  }
  const GradMode on(true);
  const Tensors results = args.op().composite(inputs, args);
  Tensors outputs, seeds;
  for (size_t i = 0; i < results.size(); ++i)
    if (args.grad[i].defined() && requires_grad(results[i])) {
      outputs.push_back(results[i]);
      seeds.push_back(args.grad[i]);
    }
  Tensors found(wanted.size());
  if (!outputs.empty())
    found = gradients(
        outputs, wanted, seeds,
        {.retain_graph = create_graph, .create_graph = create_graph, .allow_unused = true});
  Tensors grads(args.in.size());
  for (size_t i = 0, at = 0; i < args.in.size(); ++i)
    if (args.needs[i]) grads[i] = found[at++];
  return grads;
}

// A gradient as its input asks for it: summed where the input was spread, in the input's dtype. Ops
// see to that themselves; a user's Function may give anything.
Tensor fitted(const Tensor& g, const Meta& input, const Node& node) {
  const int extra = g.dim() - input.shape.size();
  bool fits = extra >= 0;
  for (int i = 0; fits && i < input.shape.size(); ++i)
    fits = input.shape[i] == g.shape()[i + extra] || input.shape[i] == 1;
  if (!fits)
    fail(ErrorKind::shape, "[", node.name(), "] backward: expected a gradient of shape ",
         to_string(input.shape), ", as the input's, got ", to_string(g.shape()));
  if (!is_floating(g.dtype()))
    fail(ErrorKind::type, "[", node.name(), "] backward: expected a gradient of dtype ",
         name_of(input.dtype), ", got ", name_of(g.dtype()));
  return cast_to(reduce_to(g, input.shape), input.dtype);
}

// Whether no element of a view is seen twice; where strides leave it open, no.
bool sees_once(const Tensor& view) {
  SmallVector<std::pair<int64_t, int64_t>, 8> axes;  // stride and size
  for (int i = 0; i < view.dim(); ++i)
    if (view.shape()[i] > 1) axes.push_back({std::abs(view.strides()[i]), view.shape()[i]});
  std::sort(axes.begin(), axes.end());
  int64_t reach = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= reach) return false;
    reach += stride * (size - 1);
  }
  return true;
}

// How often the results of each node are used in one walk. Walks of other threads may come by the
// same nodes, so that nothing is noted in them.
class UseCounts {
 public:
  // Counts one more use; whether it is the first.
  bool add(const Node* node) {
    for (auto& [known, count] : few_)
      if (known == node) return ++count, false;
    if (few_.size() == kFew) return ++many_[node] == 1;
    few_.push_back({node, 1});
    return true;
  }
  int of(const Node* node) const {
    for (const auto& [known, count] : few_)
      if (known == node) return count;
    const auto it = many_.find(node);
    return it == many_.end() ? 0 : it->second;
  }

 private:
  static constexpr size_t kFew = 32;  // that a look at each of them finds as fast as a table
  SmallVector<std::pair<const Node*, int>, 8> few_;
  std::unordered_map<const Node*, int> many_;
};

// The leaf that input `i` is, or is a view of that nothing else uses; undefined for other inputs.
Tensor leaf_behind(const Node& node, size_t i, const UseCounts& uses) {
  if (node.leaves[i].defined()) return node.leaves[i];
  const Node* const view = node.parents[i].get();
  const bool alone = view && view->op && view->op->view && uses.of(view) == 1 && !view->hooks &&
                     view->retaining.empty();
  return alone ? view->leaves[0] : Tensor();
}

// The gradients that the leaves behind a node's inputs hold, as the inputs see them, where backward
// may add to them in place: nobody else has a say in them and no graph hangs on them.
Tensors held_by_leaves(const Node& node, const UseCounts& uses) {
  Tensors held(node.leaves.size());
  for (size_t i = 0; i < held.size(); ++i) {
    const Tensor leaf = leaf_behind(node, i, uses);
    if (!leaf.defined()) continue;
    const AutogradMeta& m = autograd_meta(leaf);
    if (!m.grad.defined() || m.hooks || requires_grad(m.grad)) continue;
    if (node.leaves[i].defined()) {
      held[i] = m.grad;
      continue;
    }
    const Node& view = *node.parents[i];
    const Tensor seen = call(view.op->name, {m.grad}, view.attrs)[0];
    const bool copied = seen.impl()->storage != m.grad.impl()->storage;
    if (!copied && sees_once(seen)) held[i] = seen;
  }
  return held;
}

// Gradients that backward has added to in place through a view are where they belong: they go to
// the leaf, past the view.
void pass_views(const Node& node, const Tensors& held, const UseCounts& uses, Tensors& grads) {
  for (size_t i = 0; i < held.size() && i < grads.size(); ++i) {
    if (!node.parents[i] || !held[i].defined() || grads[i].impl() != held[i].impl()) continue;
    const Tensor leaf = leaf_behind(node, i, uses);
    accumulate(leaf, autograd_meta(leaf).grad);
    grads[i] = {};
  }
}

Tensors run_backward(const Ref<Node>& node, const Tensors& grads, bool to_leaves,
                     const UseCounts& uses) {
  Flags needs;
  for (size_t i = 0; i < node->parents.size(); ++i)
    needs.push_back(node->leaves[i].defined() || node->parents[i]);
  if (node->function) {
    const Function::Self self{
        [&](const Tensor& result, int output) { return attached(node, result, output); }};
    Tensors given = node->function->backward(grads, needs, self);
    for (size_t i = 0; i < given.size() && i < node->in_meta.size(); ++i)
      if (given[i].defined() && needs[i]) given[i] = fitted(given[i], node->in_meta[i], *node);
    return given;
  }
  const Tensors in = unpack(node->inputs, *node, "input");
  Tensors out = unpack(node->outputs, *node, "result");
  // Hidden results ("_lse") are by-products: backward's own derivative does not go through them.
  if (grad_enabled())
    for (size_t i = 0; i < out.size(); ++i)
      if (out[i].defined() && node->op->outputs[i][0] != '_')
        out[i] = attached(node, out[i], static_cast<int>(i));
  BackwardArgs args(*node->op, node->attrs, in, out, grads, node->in_meta, needs);
  if (to_leaves && node->op->continues && !grad_enabled()) args.held = held_by_leaves(*node, uses);
  if (!node->op->backward) return through_composite(args);
  Tensors given = node->op->backward(args);
  pass_views(*node, args.held, uses, given);
  return given;
}

// An earlier backward may have freed a part of the graph: said before anything is computed. Counts
// on the way how often each node's results are used.
UseCounts expect_whole(const Tensors& roots) {
  UseCounts uses;
  SmallVector<Node*, 16> open;
  for (const Tensor& root : roots)
    if (!is_leaf(root)) open.push_back(autograd_meta(root).node.get());
  while (!open.empty()) {
    Node* const node = open.back();
    open.pop_back();
    if (node->released)
      fail(ErrorKind::runtime, "[backward] expected a graph that is still there, got one that an ",
           "earlier backward() freed ('", node->name(), "'); use retain_graph=True there");
    for (const Ref<Node>& parent : node->parents) {
      if (parent && uses.add(parent.get())) open.push_back(parent.get());
    }
  }
  return uses;
}

// Nodes whose gradients have begun to arrive, latest first to leave.
class Waiting {
 public:
  bool empty() const { return heap_.empty(); }

  Tensors& gradients_of(const Ref<Node>& node) {
    const size_t at = find(node.get());
    if (at < entries_.size()) return entries_[at].grads;
    entries_.push_back({node, Tensors(node->out_meta.size())});
    if (entries_.size() > kFew) remember();
    heap_.push_back({node->sequence, at});
    std::push_heap(heap_.begin(), heap_.end());
    return entries_.back().grads;
  }

  std::pair<Ref<Node>, Tensors> take() {
    std::pop_heap(heap_.begin(), heap_.end());
    Entry& entry = entries_[heap_.back().second];
    heap_.pop_back();
    if (!places_.empty()) places_.erase(entry.node.get());
    std::pair<Ref<Node>, Tensors> taken(std::move(entry.node), std::move(entry.grads));
    entry = {};
    if (heap_.empty()) entries_.clear();  // and nothing is left in the table
    return taken;
  }

 private:
  static constexpr size_t kFew = 32;  // that a look at each of them finds as fast as a table
  struct Entry {
    Ref<Node> node;
    Tensors grads;
  };

  size_t find(const Node* node) const {
    if (entries_.size() > kFew) {
      const auto it = places_.find(node);
      return it == places_.end() ? entries_.size() : it->second;
    }
    size_t at = 0;
    while (at < entries_.size() && entries_[at].node.get() != node) ++at;
    return at;
  }

  // The table is made when there are more than a few, and then kept.
  void remember() {
    for (size_t i = entries_.size() == kFew + 1 ? 0 : entries_.size() - 1; i < entries_.size(); ++i)
      if (entries_[i].node) places_[entries_[i].node.get()] = i;
  }

  SmallVector<Entry, 4> entries_;
  SmallVector<std::pair<uint64_t, size_t>, 8> heap_;  // of sequence and place
  std::unordered_map<const Node*, size_t> places_;
};

// One walk through a graph: gradients come in at the roots, and go out at leaves or targets.
class Walk {
 public:
  // `targets` null: every leaf accumulates. Else the gradients of the targets are collected.
  Walk(const BackwardOptions& options, const Tensors* targets)
      : options_(options), collects_(targets != nullptr) {
    if (!targets) return;
    found_.resize(targets->size());
    for (size_t i = 0; i < targets->size(); ++i) {
      const Tensor& t = (*targets)[i];
      if (is_leaf(t))
        leaves_[t.impl()].push_back(i);
      else
        outputs_[autograd_meta(t).node.get()].push_back({i, autograd_meta(t).output});
    }
  }

  void start(const Tensor& root, const Tensor& g) {
    if (is_leaf(root))
      reach_leaf(root, g);
    else
      arrive(autograd_meta(root).node, autograd_meta(root).output, g);
  }

  void run() {
    while (!waiting_.empty()) {
      auto [node, grads] = waiting_.take();
      complete(node, grads);
      if (const auto it = outputs_.find(node.get()); it != outputs_.end())
        for (const auto& [target, output] : it->second)
          if (grads[static_cast<size_t>(output)].defined())
            found_[target] = grads[static_cast<size_t>(output)];
      if (collects_ && !leads_to_target(*node)) continue;
      hand_on(node, run_backward(node, grads, !collects_, uses_));
      if (options_.retain_graph) continue;
      node->released = true;
      node->inputs.clear();
      node->outputs.clear();
      node->function.reset();
    }
  }

  void count(UseCounts uses) { uses_ = std::move(uses); }
  Tensors& found() { return found_; }

 private:
  struct Target {
    size_t index;
    int output;
  };

  void hand_on(const Ref<Node>& node, const Tensors& grads) {
    for (size_t i = 0; i < grads.size() && i < node->parents.size(); ++i) {
      if (!grads[i].defined()) continue;
      if (node->parents[i])
        arrive(node->parents[i], node->parent_outputs[i], grads[i]);
      else if (node->leaves[i].defined())
        reach_leaf(node->leaves[i], grads[i]);
    }
  }

  void arrive(const Ref<Node>& node, int output, const Tensor& g) {
    add_to(waiting_.gradients_of(node)[static_cast<size_t>(output)], g);
  }

  void reach_leaf(const Tensor& leaf, const Tensor& g) {
    if (!collects_) return accumulate(leaf, g);
    const auto it = leaves_.find(leaf.impl());
    if (it == leaves_.end()) return;
    Tensors seen = {g};
    run_hooks(autograd_meta(leaf).hooks, seen);
    for (const size_t i : it->second) add_to(found_[i], seen[0]);
  }

  // Whether some target lies behind the node's inputs; remembered, and without recursion.
  bool leads_to_target(Node& start) {
    std::vector<Node*> open = {&start};
    while (!open.empty()) {
      Node* const node = open.back();
      if (leads_.contains(node)) {
        open.pop_back();
        continue;
      }
      bool leads = false, waits = false;
      for (size_t i = 0; i < node->parents.size(); ++i) {
        Node* const parent = node->parents[i].get();
        if (!parent) {
          leads = leads || (node->leaves[i].defined() && leaves_.contains(node->leaves[i].impl()));
        } else if (outputs_.contains(parent)) {
          leads = true;
        } else if (const auto it = leads_.find(parent); it != leads_.end()) {
          leads = leads || it->second;
        } else {
          open.push_back(parent);
          waits = true;
        }
      }
      if (waits && !leads) continue;
      while (open.back() != node) open.pop_back();
      leads_[node] = leads;
      open.pop_back();
    }
    return leads_[&start];
  }

  const BackwardOptions& options_;
  const bool collects_;
  Waiting waiting_;
  UseCounts uses_;
  std::unordered_map<const TensorImpl*, std::vector<size_t>> leaves_;
  std::unordered_map<const Node*, std::vector<Target>> outputs_;
  std::unordered_map<const Node*, bool> leads_;
  Tensors found_;
};

// The gradient to start with: the caller's, or 1 for a single element.
Tensor seed_of(const Tensor& root, const Tensor& seed) {
  if (!root.defined() || !requires_grad(root))
    fail(ErrorKind::runtime, "[backward] expected a tensor that came from one with requires_grad, ",
         "got one without a graph (was it made under no_grad(), or from detach()ed tensors?)");
  if (!seed.defined() && root.numel() != 1)
    fail(ErrorKind::runtime, "[backward] expected a loss with one element, got shape ",
         to_string(root.shape()), "; call .mean() or .sum() on it, or give `gradient`");
  if (seed.defined() && (seed.shape() != root.shape() || seed.dtype() != root.dtype()))
    fail(ErrorKind::shape, "[backward] expected a gradient of shape ", to_string(root.shape()),
         " and dtype ", name_of(root.dtype()), ", got ", to_string(seed.shape()), " ",
         name_of(seed.dtype()));
  return seed.defined() ? seed : Tensor::full(root.shape(), 1, root.dtype());
}

void walk(Walk* w, const Tensors& roots, const Tensors& seeds, const BackwardOptions& options) {
  Tensors first;
  for (size_t i = 0; i < roots.size(); ++i)
    first.push_back(seed_of(roots[i], i < seeds.size() ? seeds[i] : Tensor()));
  w->count(expect_whole(roots));
  const GradMode mode(options.create_graph);
  for (size_t i = 0; i < roots.size(); ++i) w->start(roots[i], first[i]);
  first.clear();
  w->run();
}

}  // namespace

void backward(const Tensor& root, const Tensor& seed, bool retain_graph) {
  const BackwardOptions options{.retain_graph = retain_graph};
  Walk w(options, nullptr);
  walk(&w, {root}, {seed}, options);
}

void backward(const Tensors& roots, const Tensors& seeds, const Tensors& inputs,
              const BackwardOptions& options) {
  for (const Tensor& t : inputs)
    if (!t.defined() || !requires_grad(t))
      fail(ErrorKind::runtime, "[backward] expected inputs that require a gradient, got one that ",
           "does not");
  Walk w(options, inputs.empty() ? nullptr : &inputs);
  walk(&w, roots, seeds, options);
  const GradMode mode(options.create_graph);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!w.found()[i].defined()) continue;
    AutogradMeta& m = autograd_meta(inputs[i]);
    m.grad = m.grad.defined() ? m.grad + w.found()[i] : w.found()[i];
  }
}

Tensors gradients(const Tensors& outputs, const Tensors& inputs, const Tensors& seeds,
                  const BackwardOptions& options) {
  for (const Tensor& t : inputs)
    if (!t.defined() || !requires_grad(t))
      fail(ErrorKind::runtime, "[grad] expected inputs that require a gradient, got one that does ",
           "not; call requires_grad_() on it before it is used");
  Walk w(options, &inputs);
  walk(&w, outputs, seeds, options);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!w.found()[i].defined() && !options.allow_unused)
      fail(ErrorKind::runtime, "[grad] expected outputs that depend on every input, got none that ",
           "depends on input ", i, "; use allow_unused=True to get None for it");
  return std::move(w.found());
}

}  // namespace ranvier
