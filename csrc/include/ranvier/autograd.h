// Reverse-mode differentiation. The graph holds nodes (an op that ran, what its backward needs)
// and edges to the tensors it came from; it knows no op by name.
#pragma once

#include <vector>

#include "ranvier/tensor.h"

namespace ranvier {

struct Node;

struct AutogradMeta {
  bool requires_grad = false;  // true on a leaf that was asked for, and on results of such leaves
  Tensor grad;                 // leaves only
  Ref<Node> node;              // what made this tensor; null on a leaf
  int output = 0;              // which of the node's outputs this is
  AutogradMeta();
  ~AutogradMeta();
};

bool requires_grad(const Tensor& t);
bool is_leaf(const Tensor& t);
// An Error unless `t` is a floating leaf.
void set_requires_grad(const Tensor& t, bool value);
Tensor grad(const Tensor& t);                         // undefined where there is none yet
void set_grad(const Tensor& t, const Tensor& value);  // an undefined value clears it

// Adds the gradients of `root` to every leaf that it came from. `seed` is the gradient of root
// itself; it may be left out when root has one element. The graph is freed unless `retain_graph`.
void backward(const Tensor& root, const Tensor& seed = {}, bool retain_graph = false);

// Whether ops record what backward needs, for the calling thread.
bool grad_enabled();
void set_grad_enabled(bool value);

class NoGrad {
 public:
  NoGrad() : before_(grad_enabled()) { set_grad_enabled(false); }
  ~NoGrad() { set_grad_enabled(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

}  // namespace ranvier
