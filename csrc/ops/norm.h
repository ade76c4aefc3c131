// What the normalisations share: shape rules, and their gradient in simpler ops. Nothing here is an
// op.
#pragma once

#include <vector>

#include "ops/op.h"
#include "ops/reduce.h"

namespace ranvier {

// The dtype of the input, which is floating, for every named input that is given.
void check_norm_dtypes(const InferArgs& args, std::initializer_list<const char*> names);

inline AttrDef eps_attr(double value) {
  return {.name = "eps", .kind = AttrKind::number, .value = value};
}

// x - mean(x), or x, and 1 / sqrt(mean of its square + eps), over the given axes.
struct Normalized {
  Tensor centred, rstd;
};
Normalized normalized(const Tensor& x, const std::vector<int>& axes, double eps, bool center);
// `t`, whose axes are those of `like` that are not in `axes`, so that it broadcasts over them.
Tensor along_rest(const Tensor& t, const Tensor& like, const std::vector<int>& axes);

// Gradients of z w + b with respect to x, w and b, where z = centred rstd over `axes` and w lies
// along the other axes of `w_axes`.
Tensors norm_gradients(const Tensor& g, const Tensor& x, const Tensor& w,
                       const std::vector<int>& axes, const std::vector<int>& w_axes, double eps,
                       bool center);

}  // namespace ranvier
