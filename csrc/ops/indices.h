// What ops that take integer tensors as positions share: checks, walks over shapes, and the two
// forms (a new tensor, or in place) of an op that changes a part of its first input.
#pragma once

#include <algorithm>

#include "core/parallel.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {

// A TypeError unless input i holds integers.
void expect_integers(const InferArgs& args, size_t i);

// `index` as packed int64, every value checked against an axis of `size`. Where counting from the
// end is allowed, negative values become positions. `axis` -1 stands for the flattened tensor.
Tensor positions(const AttrReader& args, const Tensor& index, int axis, int64_t size,
                 bool from_end = false);

// `t` packed, and in memory that writing to `to` does not change.
Tensor packed_apart(const Tensor& t, const Tensor& to);

// A shape as rows along its last axis. A single value is a row of one.
struct Rows {
  int64_t count = 1, size = 1;
  Dims shape;

  explicit Rows(const Dims& of) : shape(of) {
    for (int i = 0; i < of.size(); ++i) (i + 1 < of.size() ? count : size) *= of[i];
  }
  // Of the start of a row under these strides; along axis `skip` it stays at 0.
  int64_t offset(int64_t row, const Dims& strides, int skip = -1) const {
    int64_t offset = 0;
    for (int axis = shape.size() - 2; axis >= 0; --axis) {
      if (axis != skip) offset += row % shape[axis] * strides[axis];
      row /= shape[axis];
    }
    return offset;
  }
};

// One element for every element of an index: f(to element, i-th element of the index), where the
// element lies at position index[i] along `axis` of a tensor with memory `x` and at the index's own
// place along all other axes. With `Exclusive` no two threads come to the same element of x, and
// each comes in the order of the index.
template <bool Exclusive, class T, class F>
void each_indexed(T* x, const Dims& strides, int axis, const Tensor& index, F f) {
  if (index.numel() == 0) return;
  const Rows rows(index.shape());
  const int64_t* const at = index.data<int64_t>();
  const int last = std::max(index.dim() - 1, 0);
  const int64_t n = rows.size, step = strides.empty() ? 1 : strides[axis];
  if (axis == last) {
    parallel_items(rows.count, n, kGrainPicked, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        T* const base = x + rows.offset(row, strides, axis);
        for (int64_t i = row * n; i < (row + 1) * n; ++i) f(base[at[i] * step], i);
      }
    });
    return;
  }
  // Elements meet only where all axes but `axis` agree: a unit is what lies before it, and a piece
  // of the last axis.
  int64_t outer = 1;
  for (int i = 0; i < (Exclusive ? axis : last); ++i) outer *= index.shape()[i];
  const int64_t each = rows.count / outer, piece = std::min<int64_t>(n, 256);
  const int64_t pieces = (n + piece - 1) / piece, along = strides[last];
  parallel_items(outer * pieces, each * piece, kGrainPicked, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % pieces * piece, stop = std::min(n, first + piece);
      const int64_t o = unit / pieces;
      for (int64_t row = o * each; row < (o + 1) * each; ++row) {
        T* const base = x + rows.offset(row, strides, axis);
        for (int64_t j = first; j < stop; ++j)
          f(base[at[row * n + j] * step + j * along], row * n + j);
      }
    }
  });
}

// How an op changes a part of a tensor; `target` is packed and holds the first input's values.
using Change = void (*)(const ForwardArgs&, const Tensor& target);

template <Change change>
void change_copy(const ForwardArgs& args) {
  copy(args.out[0], args.in[0]);
  change(args, args.out[0]);
}

template <Change change>
void change_in_place(const ForwardArgs& args) {
  const Tensor target = packed(args.in[0]);
  change(args, target);
  if (!target.same(args.in[0])) copy(args.in[0], target);
}

// The shape rule of a change: `shape` checks the inputs and gives the result's shape; its dtype is
// that of the first input.
template <Dims (*shape)(const InferArgs&)>
Metas infer_change(const InferArgs& args) {
  return {{shape(args), args.in[0].dtype}};
}
template <Dims (*shape)(const InferArgs&)>
Metas infer_change_in_place(const InferArgs& args) {
  if (!(shape(args) == args.in[0].shape))
    args.mismatch("operands that broadcast to the shape of what is changed");
  return {};
}

// The form in place of a change, to be added after it.
OpDef in_place_form(OpDef op, Metas (*infer)(const InferArgs&),
                    void (*forward)(const ForwardArgs&));

// Adds `op` and its form in place.
template <Dims (*shape)(const InferArgs&), Change change>
void declare_change(Registry& r, OpDef op) {
  op.method = true;
  const OpDef form = in_place_form(op, infer_change_in_place<shape>, change_in_place<change>);
  op.infer = infer_change<shape>;
  op.forward = change_copy<change>;
  r.add(std::move(op));
  r.add(form);
}

// A single value in the dtype of what it is written to; an Error where an integer cannot hold it.
Tensor value_as(const AttrReader& args, const Tensor& value, DType dtype);

// Integer sums wrap around; signed overflow would be undefined.
template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a || b;
  else if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <class T>
T wrapping_mul(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a && b;
  else if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

}  // namespace ranvier
