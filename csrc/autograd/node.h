// A node of the graph: an op that ran and what its backward needs.
#pragma once

#include "core/pool.h"
#include "ops/op.h"
#include "ranvier/autograd.h"

namespace ranvier {

// A tensor kept for backward, with the version of its memory at that time.
struct Saved {
  Tensor tensor;
  uint32_t version = 0;
};

struct Node {
  std::atomic<int32_t> refs{0};
  uint64_t sequence = 0;  // order of creation; backward goes from the highest down
  const OpDef* op = nullptr;
  Attrs attrs;
  SmallVector<Saved, 3> inputs, outputs;  // undefined where not saved
  Metas in_meta, out_meta;
  Tensors leaves;                      // for each input: the leaf it is, or undefined
  SmallVector<Ref<Node>, 3> parents;   // for each input: the node that made it, or null
  SmallVector<int, 4> parent_outputs;  // which output of it
  std::unique_ptr<Function> function;  // in place of an op; freed with what backward needs
  std::string function_name;
  bool released = false;

  std::shared_ptr<HookList> hooks;
  // Of outputs that want to keep their gradient; whoever holds one takes it off the list.
  std::vector<std::pair<int, AutogradMeta*>> retaining;

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();
  static void* operator new(std::size_t bytes) { return pool_new(bytes); }
  static void operator delete(void* p, std::size_t bytes) noexcept { pool_give(p, bytes); }
  std::string name() const { return op ? op->name : function_name; }
};

// The gradient's side of a tensor, made at its first use; the history of a view is brought up to
// date with its base's.
AutogradMeta& autograd_meta(const Tensor& t);

// Makes a tensor the output of another node, or of none.
void set_node(AutogradMeta& meta, const Ref<Node>& node, int output);
// `t` through a view of the whole, so that gradients can end there (ops/in_place.cpp).
Tensor seen_through(const Tensor& t);
// The history of a view made anew from its base's (ops/in_place.cpp).
void renew_view(const Tensor& t);

// The inputs that require a gradient.
InputSet asked_for(const Tensors& inputs);
// Attaches a new node to `outputs` if gradients are on and an input asks for one.
void record_gradient(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                     const Tensors& outputs);

// Whether a change of `t` in place, with values from `inputs`, is a part of the graph. An Error
// where it cannot be: t is, or is a view of, a leaf that asks for a gradient.
bool change_is_recorded(const OpDef& op, const Tensor& t, const Tensors& inputs);
// After such a change: t, its base and its views are results of what made `values`.
void take_history(const Tensor& t, const Tensor& values);

}  // namespace ranvier
