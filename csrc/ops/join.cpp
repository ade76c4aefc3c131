// Joining tensors along an axis, one that they have or a new one.
#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

// A tensor of shape (0,) joins anything and adds nothing: PyTorch's old way to start a list.
bool is_placeholder(const Dims& shape) { return shape.size() == 1 && shape[0] == 0; }

[[noreturn]] void expect_some(const InferArgs& args) {
  fail(ErrorKind::value, "[", args.op().name, "] expected at least one tensor, got none");
}

Metas infer_cat(const InferArgs& args) {
  if (args.in.empty()) expect_some(args);
  Meta out = args.in[0];
  int first = -1, axis = 0;
  for (size_t i = 0; i < args.in.size(); ++i) {
    const Dims& shape = args.in[i].shape;
    if (is_placeholder(shape)) continue;
    if (shape.empty())
      fail(ErrorKind::shape, "[cat] expected tensors with at least one axis, got tensor ", i,
           " of shape (); use stack()");
    if (first < 0) {
      first = static_cast<int>(i);
      axis = normal_axis("cat", args.integer(0), shape.size());
      out.shape = shape;
      continue;
    }
    const Dims& like = args.in[static_cast<size_t>(first)].shape;
    bool fits = shape.size() == like.size();
    for (int d = 0; fits && d < shape.size(); ++d) fits = d == axis || shape[d] == like[d];
    if (!fits)
      fail(ErrorKind::shape, "[cat] expected sizes that agree on every axis but ", axis,
           ", got tensor ", i, " of shape ", to_string(shape), " after tensor ", first,
           " of shape ", to_string(like));
    out.shape[axis] += shape[axis];
  }
  return {out};
}

Metas infer_stack(const InferArgs& args) {
  if (args.in.empty()) expect_some(args);
  Meta out = args.in[0];
  for (size_t i = 1; i < args.in.size(); ++i)
    if (!(args.in[i].shape == out.shape))
      fail(ErrorKind::shape, "[stack] expected tensors of one shape, got tensor ", i, " of shape ",
           to_string(args.in[i].shape), " after tensor 0 of shape ", to_string(out.shape));
  const int axis = normal_axis("stack", args.integer(0), out.shape.size() + 1);
  out.shape.insert(axis, static_cast<int64_t>(args.in.size()));
  return {out};
}

// Lays the parts side by side along an axis of the packed result.
void join_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  if (out.numel() == 0) return;
  const int axis = normal_axis("cat", args.integer(0), out.dim());
  const AxisSplit split(out.shape(), axis);
  const auto size = static_cast<int64_t>(size_of(out.dtype()));
  const int64_t row = split.size * split.inner;
  int64_t at = 0;
  for (const Tensor& part : args.in) {
    const int64_t width = part.numel() / split.outer;
    if (width == 0) continue;
    if (part.is_contiguous() && part.numel() < (1 << 15)) {
      const auto* from = static_cast<const char*>(part.raw());
      auto* to = static_cast<char*>(out.raw()) + at * size;
      for (int64_t o = 0; o < split.outer; ++o)
        std::memcpy(to + o * row * size, from + o * width * size,
                    static_cast<size_t>(width * size));
    } else {
      Dims shape = part.shape(), strides = part.strides();
      if (shape.size() < out.dim()) {
        shape.insert(axis, 1);
        strides.insert(axis, 0);
      }
      copy(out.alias(shape, out.strides(), out.impl()->offset + at),
           part.alias(shape, strides, part.impl()->offset));
    }
    at += width;
  }
}

Tensors cat_back(const BackwardArgs& args) {
  static const Op slice("slice");
  const int axis = normal_axis("cat", args.integer(0), args.grad[0].dim());
  Tensors grads;
  int64_t at = 0;
  for (size_t i = 0; i < args.in_meta.size(); ++i) {
    const Meta& in = args.in_meta[i];
    if (is_placeholder(in.shape)) {
      grads.push_back(args.needs[i] ? Tensor::zeros(in.shape, in.dtype) : Tensor());
      continue;
    }
    const int64_t end = at + in.shape[axis];
    grads.push_back(args.needs[i] ? slice({args.grad[0]}, {int64_t{axis}, at, end, int64_t{1}})
                                  : Tensor());
    at = end;
  }
  return grads;
}

Tensors stack_back(const BackwardArgs& args) {
  static const Op select("select");
  Tensors grads;
  for (size_t i = 0; i < args.in_meta.size(); ++i)
    grads.push_back(args.needs[i]
                        ? select({args.grad[0]}, {args.integer(0), static_cast<int64_t>(i)})
                        : Tensor());
  return grads;
}

// ---- NumPy's stacks along the first, second and third axis

Tensors widened(const Tensors& in, Tensor (*widen)(const Tensor&)) {
  Tensors out;
  for (const Tensor& t : in) out.push_back(widen(t));
  return out;
}

Tensor with_axis(const Tensor& t, int64_t axis) {
  static const Op unsqueeze("unsqueeze");
  return unsqueeze({t}, {axis});
}
Tensor vector(const Tensor& t) { return t.dim() == 0 ? with_axis(t, 0) : t; }
Tensor row(const Tensor& t) { return t.dim() < 2 ? with_axis(vector(t), 0) : t; }
Tensor column(const Tensor& t) { return t.dim() < 2 ? with_axis(vector(t), 1) : t; }
Tensor sheet(const Tensor& t) { return t.dim() < 3 ? with_axis(row(t), 2) : t; }

// cat() says what is wrong, under the name of the op that was called.
Metas infer_some(const InferArgs& args) {
  if (args.in.empty()) expect_some(args);
  return {};
}

void declare_stack(Registry& r, const char* name, const char* doc, const char* example,
                   Tensors (*composite)(const Tensors&, const AttrReader&)) {
  r.add({.name = name,
         .doc = doc,
         .inputs = {"tensors*"},
         .infer = infer_some,
         .composite = composite,
         .formula = {"the tensors side by side",
                     R"([x_1, x_2, \dots])",
                     {{"x_i", "its part of g", "g_i"}}},
         .example = example});
}

}  // namespace

void declare_joins(Registry& r) {
  const std::vector<AttrDef> dim = {
      {.name = "dim", .kind = AttrKind::integer, .value = int64_t{0}}};
  const Formula formula = {
      "the tensors side by side", R"([x_1, x_2, \dots])", {{"x_i", "its part of g", "g_i"}}};
  r.add({.name = "cat",
         .doc = "Tensors joined along an axis that they have; their other sizes must agree.",
         .inputs = {"tensors*"},
         .attrs = dim,
         .types = Types::promote,
         .moves = true,
         .infer = infer_cat,
         .forward = join_forward,
         .backward = cat_back,
         .formula = formula,
         .example = "rv.cat([rv.zeros(2, 3), rv.ones(1, 3)])"});
  r.add({.name = "stack",
         .doc = "Tensors of one shape joined along a new axis.",
         .inputs = {"tensors*"},
         .attrs = dim,
         .types = Types::promote,
         .moves = true,
         .infer = infer_stack,
         .forward = join_forward,
         .backward = stack_back,
         .formula = formula,
         .example = "rv.stack([rv.zeros(3), rv.ones(3)])"});
  static const Op cat("cat");
  declare_stack(r, "hstack", "Tensors joined along the second axis; vectors along their only one.",
                "rv.hstack([rv.zeros(2), rv.ones(3)])",
                [](const Tensors& in, const AttrReader&) -> Tensors {
                  const Tensors parts = widened(in, vector);
                  return {cat(parts, {int64_t{parts[0].dim() == 1 ? 0 : 1}})};
                });
  declare_stack(r, "vstack", "Tensors joined along the first axis, vectors taken as rows.",
                "rv.vstack([rv.zeros(3), rv.ones(3)])",
                [](const Tensors& in, const AttrReader&) -> Tensors {
                  return {cat(widened(in, row), {int64_t{0}})};
                });
  declare_stack(r, "dstack", "Tensors joined along the third axis, which smaller ones get.",
                "rv.dstack([rv.zeros(3), rv.ones(3)])",
                [](const Tensors& in, const AttrReader&) -> Tensors {
                  return {cat(widened(in, sheet), {int64_t{2}})};
                });
  declare_stack(r, "column_stack",
                "Tensors joined along the second axis, vectors taken as columns.",
                "rv.column_stack([rv.zeros(3), rv.ones(3)])",
                [](const Tensors& in, const AttrReader&) -> Tensors {
                  return {cat(widened(in, column), {int64_t{1}})};
                });
}

}  // namespace ranvier
