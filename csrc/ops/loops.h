// From tensors to kernels: loops over shapes and strides, shared by the families. These functions
// are not ops; a forward may use them without being recorded.
#pragma once

#include <functional>

#include "ops/op.h"

namespace ranvier {

// out = f(in...), inputs broadcast to out's shape. An undefined input is passed on as null. Inputs
// whose inner axis is neither adjacent nor constant are packed block by block on the stack.
void map(MapFn f, double attribute, const Tensor& out, std::initializer_list<Tensor> in,
         int64_t work = 1);

// The same of tensors that stand still, with the way through them found once.
Prepared prepared_map(MapFn f, double attribute, const Tensor& out,
                      std::initializer_list<Tensor> in, int64_t work = 1);
// The whole of it. Empty: forward does it better.
Prepared prepared_sweep(const Sweep& sweep);

// Copies with conversion; `from` is broadcast to the shape of `to`, any strides.
void copy(const Tensor& to, const Tensor& from);
Prepared prepared_copy(const Tensor& to, const Tensor& from);
Sweep copy_sweep(const Tensor& to, const Tensor& from);

// `t` itself where it is row-major, else a packed copy.
Tensor packed(const Tensor& t);
// As `dtype`, row-major.
Tensor converted(const Tensor& t, DType dtype);
// `from`, or a copy of it where writing to `to` would change it on the way: both may look at one
// memory through different strides.
Tensor apart(const Tensor& from, const Tensor& to);
// Whether that is `from` itself.
bool is_apart(const Tensor& from, const Tensor& to);
// Whether equal places of both, which have one shape, lie at equal distances in memory. The stride
// of an axis with one element says nothing.
bool same_layout(const Tensor& a, const Tensor& b);
// `t` in the memory layout of `like`, which is dense and of the same shape.
Tensor in_layout_of(const Tensor& t, const Tensor& like);

// Where a mask is true: an index for each of its axes, in the order of rows.
Tensors true_places(const Tensor& mask);

// A tensor seen as (outer, size, inner) around one axis; it must be row-major.
struct AxisSplit {
  int64_t outer = 1, size = 1, inner = 1;
  AxisSplit(const Dims& shape, int axis) {
    for (int i = 0; i < shape.size(); ++i)
      (i < axis ? outer : i == axis ? size : inner) *= shape[i];
  }
};

}  // namespace ranvier
