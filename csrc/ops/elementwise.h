// Shared by the files of the elementwise ops: how the rows of elementwise.def are declared, run on
// integers, and differentiated.
#pragma once

#include <limits>

#include "ops/op.h"

namespace ranvier {

enum class RowTypes { FLOATS, ALL, NUMBERS };

// What stands for the second and third input of a row of three where they are not given.
struct Defaults {
  double second, third;
};
constexpr Defaults defaults_of(Row row) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  return row == Row::softplus   ? Defaults{1, 20}
         : row == Row::hardtanh ? Defaults{-1, 1}
                                : Defaults{-inf, inf};
}

// Kernels of integers and bool; null where a row takes floats alone.
MapFn integer_kernel(Row row, DType dtype);
// What no kernel can do: division by zero, and whole powers that would be fractions.
void check_integers(const ForwardArgs& args, const Tensor& other);

// A row's derivative in ops that have gradients themselves: the composite of "<name>_backward".
using Composite = Tensors (*)(const Tensors&, const AttrReader&);
Composite slope_composite(Row row, bool first);
// A loss of each element of input and target, in such ops.
Tensor loss_graph(Row row, const Tensors& in, const AttrReader& args);
// All gradients of a row of three inputs, in such ops.
using Backward = Tensors (*)(const BackwardArgs&);
Backward ternary_backward(Row row);

// The one number that a kernel is given: the attribute, or for decimals the unit to round to.
double attribute_of(const AttrReader& args);

// Fails where the result would not fit into what is changed.
Metas infer_in_place(const InferArgs& args);
// "<name>_" of an op that is declared.
void declare_in_place(Registry& r, const OpDef& op, void (*forward)(const ForwardArgs&),
                      Sweep (*sweep)(const ForwardArgs&) = nullptr);
// The inputs of a form in place, as the op takes them: of one type, none changing on the way.
Tensors inputs_in_place(const ForwardArgs& args);

// The kernel of where: inputs are a condition, what is there if it is true, and what if not.
MapFn picks(DType dtype);

void declare_bits(Registry& r);
void declare_where(Registry& r);
void declare_keyword_forms(Registry& r);

}  // namespace ranvier
