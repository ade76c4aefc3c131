// Labels of the losses of classes: their settings, the check of their range, and the calls that
// programs keep. Nothing here is an op.
#pragma once

#include "ops/op.h"

namespace ranvier {

// What the two attributes of all three losses mean where an op lacks one.
struct LabelSettings {
  int64_t ignored = 0;
  bool ignores = false;
  double smoothing = 0;
};

LabelSettings settings_of(const AttrReader& args);

// A copy of the labels, all in range or -1 where they are ignored: the memory may be NumPy's and
// change meanwhile.
Tensor checked_labels(const AttrReader& args, const Tensor& target, int64_t classes);

// Of cross_entropy and its backward where labels have no weights and no smoothing, and the result
// is one number.
Prepared cross_entropy_prepare(const ForwardArgs& args);
Prepared cross_entropy_backward_prepare(const ForwardArgs& args);
// The same of nll_loss.
Prepared nll_prepare(const ForwardArgs& args);
Prepared nll_backward_prepare(const ForwardArgs& args);

}  // namespace ranvier
