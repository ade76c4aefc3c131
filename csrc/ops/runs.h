// Copies whose result takes every axis from positions of the input that follow one another: flip,
// roll, repeat and pad differ only in these runs.
#pragma once

#include <vector>

#include "ranvier/tensor.h"

namespace ranvier {

// `count` positions of a result's axis, taken from `from`, `from + step`, ... of the input's; or
// from nowhere (`from` is -1), which leaves the fill value.
struct Run {
  int64_t from = 0, count = 0;
  int64_t step = 1;
};
using Runs = std::vector<Run>;  // one after another, for one axis

int64_t length_of(const Runs& runs);
// The whole axis as it is.
inline Runs unchanged(int64_t size) { return {{0, size, 1}}; }

// `axes` holds the runs of every axis of `out`, which is packed; the input has as many axes. `fill`
// points to one element.
void copy_runs(const Tensor& out, const Tensor& in, const std::vector<Runs>& axes,
               const void* fill = nullptr);

}  // namespace ranvier
