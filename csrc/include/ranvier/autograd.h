// Reverse-mode differentiation. The graph holds nodes (an op that ran, what its backward needs)
// and edges to the tensors it came from; it knows no op by name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ranvier/ops.h"

namespace ranvier {

struct Node;

// Sees the gradient of a tensor when it is complete; what it returns, if defined, takes its place.
using Hook = std::function<Tensor(const Tensor& gradient)>;
struct HookEntry {
  int64_t id;
  int output;  // of the node that it belongs to
  Hook hook;
};
using HookList = std::vector<HookEntry>;

struct AutogradMeta {
  bool requires_grad = false;  // true on a leaf that was asked for, and on results of such leaves
  bool retains_grad = false;   // keeps its gradient though it is no leaf
  Tensor grad;                 // of leaves, and of what retains it
  Ref<Node> node;              // what made this tensor; null on a leaf
  int output = 0;              // which of the node's outputs this is
  uint32_t history = 0;        // how often a change in place gave it another node
  std::shared_ptr<HookList> hooks;  // of a leaf; other tensors leave theirs with the node
  AutogradMeta();
  ~AutogradMeta();
  static void* operator new(std::size_t bytes);  // from a pool
  static void operator delete(void* p, std::size_t bytes) noexcept;
};

bool requires_grad(const Tensor& t);
bool is_leaf(const Tensor& t);
// An Error unless `t` is a floating leaf.
void set_requires_grad(const Tensor& t, bool value);
Tensor grad(const Tensor& t);                         // undefined where there is none yet
void set_grad(const Tensor& t, const Tensor& value);  // an undefined value clears it
void retain_grad(const Tensor& t);
// Cuts the tensor off the graph that made it.
void forget_history(const Tensor& t);

// Returns what takes the hook away again.
std::function<void()> add_hook(const Tensor& t, Hook hook);
bool has_hooks(const Tensor& t);

// Adds the gradients of `root` to every leaf that it came from. `seed` is the gradient of root
// itself; it may be left out when root has one element. The graph is freed unless `retain_graph`.
void backward(const Tensor& root, const Tensor& seed = {}, bool retain_graph = false);

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;  // gradients have a graph of their own and can be differentiated
  bool allow_unused = false;  // an input that nothing depends on gets an undefined gradient
};
// For several roots at once. With `inputs`, only those leaves get a gradient.
void backward(const Tensors& roots, const Tensors& seeds, const Tensors& inputs,
              const BackwardOptions& options);
// The gradients of `outputs` with respect to `inputs`, leaves or not; no .grad changes.
Tensors gradients(const Tensors& outputs, const Tensors& inputs, const Tensors& seeds,
                  const BackwardOptions& options);

// A function with a derivative of its own, beside the ops.
class Function {
 public:
  virtual ~Function() = default;
  virtual std::string name() const = 0;
  // `self` makes a kept result (detached, so that nothing holds itself) a part of the graph again.
  struct Self {
    std::function<Tensor(const Tensor& result, int output)> attached;
  };
  // One gradient for each input; undefined where there is none. `grads` are those of the outputs.
  virtual Tensors backward(const Tensors& grads, const Flags& needs, const Self& self) = 0;
};
// Makes `outputs` results of `function`, if gradients are on and an input asks for one.
void record_function(std::unique_ptr<Function> function, const Tensors& inputs,
                     const Tensors& outputs);

// Whether ops record what backward needs, for the calling thread.
bool grad_enabled();
void set_grad_enabled(bool value);

class GradMode {
 public:
  explicit GradMode(bool mode) : before_(grad_enabled()) { set_grad_enabled(mode); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

}  // namespace ranvier
