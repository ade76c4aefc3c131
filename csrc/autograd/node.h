// A node of the graph: an op that ran and what its backward needs.
#pragma once

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
  std::vector<Saved> inputs, outputs;  // undefined where not saved
  Metas in_meta, out_meta;
  std::vector<Tensor> leaves;       // for each input: the leaf it is, or undefined
  std::vector<Ref<Node>> parents;   // for each input: the node that made it, or null
  std::vector<int> parent_outputs;  // which output of it
  bool released = false;
  uint64_t seen = 0;  // the last walk that came by

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();
};

// The gradient's side of a tensor, made at its first use.
AutogradMeta& autograd_meta(const Tensor& t);

// Attaches a new node to `outputs` if gradients are on and an input asks for one.
void record_gradient(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                     const Tensors& outputs);

}  // namespace ranvier
