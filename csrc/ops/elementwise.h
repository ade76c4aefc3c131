// Shared by the files of the elementwise ops: how the rows of elementwise.def are declared, run on
// integers, and differentiated.
#pragma once

#include "ops/op.h"

namespace ranvier {

enum class RowTypes { FLOATS, ALL, NUMBERS };

// Kernels of integers and bool; null where a row takes floats alone.
MapFn integer_kernel(Row row, DType dtype);
// What no kernel can do: division by zero, and whole powers that would be fractions.
void check_integers(const ForwardArgs& args, const Tensor& other);

// A row's derivative in ops that have gradients themselves: the composite of "<name>_backward".
using Composite = Tensors (*)(const Tensors&, const AttrReader&);
Composite slope_composite(Row row, bool first);
// All gradients of a row of three inputs, in such ops.
using Backward = Tensors (*)(const BackwardArgs&);
Backward ternary_backward(Row row);

// The one number that a kernel is given: the attribute, or for decimals the unit to round to.
double attribute_of(const AttrReader& args);

// Fails where the result would not fit into what is changed.
Metas infer_in_place(const InferArgs& args);
// "<name>_" of an op that is declared.
void declare_in_place(Registry& r, const OpDef& op, void (*forward)(const ForwardArgs&));
// The inputs of a form in place, as the op takes them: of one type, none changing on the way.
Tensors inputs_in_place(const ForwardArgs& args);

void declare_bits(Registry& r);
void declare_where(Registry& r);
void declare_keyword_forms(Registry& r);

}  // namespace ranvier
