// What the reductions share: which axes, which shape, and how packed memory is folded. Nothing here
// is an op.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {

void declare_extremes(Registry& r);    // reduce_extremes.cpp
void declare_histograms(Registry& r);  // reduce_histogram.cpp
void declare_moments(Registry& r);     // reduce_moments.cpp
void declare_norms(Registry& r);       // reduce_norm.cpp
void declare_orders(Registry& r);      // reduce_order.cpp
void declare_products(Registry& r);    // reduce_product.cpp
void declare_scans(Registry& r);       // scan.cpp
void declare_unique(Registry& r);      // unique.cpp

// ---- attributes

AttrDef axes_attr();  // dim: an integer, several, or None for all
AttrDef axis_attr();  // dim: an integer, or None for the flattened tensor
AttrDef keepdim_attr();
AttrDef dtype_attr();  // keyword; None: the input's

// What the attribute at `at` (an integer, several or None) says of a tensor with `dim` axes:
// ascending and once each; all of them for None and for ().
std::vector<int> axes_of(const AttrReader& args, int dim, int at = 0);
Dims reduced(const Dims& shape, const std::vector<int>& axes, bool keep);
int64_t count_along(const Dims& shape, const std::vector<int>& axes);
// An IndexError (a ShapeError where no axis was named) unless there is an element to choose.
void expect_elements(const InferArgs& args, const std::vector<int>& axes, bool named);

inline std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }
inline std::vector<int64_t> list(const std::vector<int>& axes) {
  return {axes.begin(), axes.end()};
}

// ---- memory

// The axes to reduce brought together (at the end unless they already are neighbours), packed.
Tensor gathered(const Tensor& x, const std::vector<int>& axes, AxisSplit* split,
                bool at_end = false);

// The same of a tensor that stands still: `from` looks at its memory, or at memory of its own that
// `bring` has to fill before each use; undefined where that would be too much.
struct Standing {
  Tensor from;
  AxisSplit split{{}, 0};
  std::function<void()> bring;
};
inline Prepared brought(const std::function<void()>& bring, Prepared call) {
  if (!bring) return call;
  return [bring, call = std::move(call)] {
    bring();
    call();
  };
}
Standing standing(const Tensor& x, const std::vector<int>& axes);

// A row-major tensor around the axis that attribute 0 names; flattened where it names none.
AxisSplit axis_split(const AttrReader& args, const Tensor& x);

// For code that needs an order and memory of its own: booleans are seen as bytes of 0 and 1, as a
// vector of bool has no elements in memory.
template <class F>
void visit_ordered(DType dtype, F f) {
  visit(dtype == DType::bool_ ? DType::uint8 : dtype, f);
}

// ---- ops, for gradients and composites

// A result in the shape that keepdim=True would have given it.
Tensor kept(const Tensor& result, const Dims& shape, const std::vector<int>& axes);
// The same, spread over `shape` without copying.
Tensor spread(const Tensor& result, const Dims& shape, const std::vector<int>& axes);
Tensor total(const Tensor& x, const std::vector<int>& axes);  // sum with keepdim
Tensor as(const Tensor& x, DType dtype);
Tensor safe_divisor(const Tensor& x);  // 1 where x is 0

// The gradient of values along one axis (attribute 0) goes to where the op's second result says.
Tensors picked_back(const BackwardArgs& args);

// ---- folding

inline constexpr int64_t kFold = 1 << 14;  // elements that one state sees before states are joined
inline constexpr int64_t kColumns = 64;    // states that are carried along together

// How many elements of the axis a block has.
inline int64_t fold_block(const AxisSplit& s) {
  return kFold / std::clamp<int64_t>(s.inner, 1, kColumns);
}

// One column after another would walk through memory in strides: neighbours go together.
template <class T, class State>
void fold_columns(const T* x, int64_t stride, int64_t rows, int64_t columns, int64_t first,
                  State* states) {
  if (columns == 1) {
    State state = states[0];
    for (int64_t r = 0; r < rows; ++r) state.take(x[r * stride], first + r);
    states[0] = state;
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) states[j].take(x[r * stride + j], first + r);
}

// x (outer, size, inner) folded along its axis: a State for each of the outer * inner results sees
// its elements in order, take(value, position). Long axes are cut into blocks whose states are
// joined in order, join(later); where the cuts are depends on sizes alone. Then emit(result,
// state).
template <class T, class State, class Emit>
void fold(const T* x, const AxisSplit& s, const State& start, Emit emit) {
  static_assert(std::is_trivially_copyable_v<State>);
  if (s.outer * s.inner == 0) return;
  const int64_t block = fold_block(s);
  const int64_t blocks = std::max<int64_t>((s.size + block - 1) / block, 1);
  const int64_t tiles = (s.inner + kColumns - 1) / kColumns;
  const bool whole = blocks == 1;
  const auto bytes = static_cast<size_t>(s.outer * blocks * s.inner) * sizeof(State);
  const Scratch memory(whole ? 1 : bytes);
  State* const partial = reinterpret_cast<State*>(memory.get());
  const int64_t work = std::min(s.size, block) * std::min(s.inner, kColumns);
  parallel_items(s.outer * blocks * tiles, work, kGrainFolded, [&](int64_t begin, int64_t end) {
    State states[kColumns];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t left = unit % tiles * kColumns, columns = std::min(s.inner - left, kColumns);
      const int64_t o = unit / tiles / blocks, first = unit / tiles % blocks * block;
      std::fill_n(states, columns, start);
      fold_columns(x + (o * s.size + first) * s.inner + left, s.inner,
                   std::min(s.size - first, block), columns, first, states);
      for (int64_t j = 0; j < columns; ++j)
        if (whole)
          emit(o * s.inner + left + j, states[j]);
        else
          partial[unit / tiles * s.inner + left + j] = states[j];
    }
  });
  if (whole) return;
  parallel_items(s.outer * s.inner, blocks, kGrainStrided, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const State* mine = partial + i / s.inner * blocks * s.inner + i % s.inner;
      State all = mine[0];
      for (int64_t b = 1; b < blocks; ++b) all.join(mine[b * s.inner]);
      emit(i, all);
    }
  });
}

// Neighbours are added until one value (of `width` numbers) is left at the front.
template <class T>
void add_tree(T* values, int64_t n, int64_t width) {
  for (; n > 1; n = (n + 1) / 2) {
    for (int64_t i = 0; i < n / 2; ++i)
      for (int64_t j = 0; j < width; ++j)
        values[i * width + j] = values[2 * i * width + j] + values[(2 * i + 1) * width + j];
    if (n % 2) std::copy_n(values + (n - 1) * width, width, values + n / 2 * width);
  }
}

// N sums at once over x (outer, size, inner), each y[k] (outer, inner). The axis is cut into blocks
// of kSumBlock elements (or kSumRows rows); block_sum(outer, first, n, to) puts the sums of one
// block where to[k] points, and block sums are added in a fixed tree.
template <class T, int N, class F>
void block_sums(const AxisSplit& s, T* const (&y)[N], F block_sum) {
  if (s.outer * s.inner == 0) return;  // however long the axis is
  const int64_t block = s.inner == 1 ? kSumBlock : kSumRows;
  const int64_t blocks = std::max<int64_t>((s.size + block - 1) / block, 1);
  if (blocks == 1 && s.outer == 1) {
    T* to[N];
    std::copy_n(y, N, to);
    return block_sum(0, 0, s.size, to);
  }
  const int64_t plane = s.outer * blocks * s.inner;
  const Scratch memory(static_cast<size_t>(N * plane) * sizeof(T));
  T* const partial = reinterpret_cast<T*>(memory.get());
  const int64_t work = std::min(s.size, block) * s.inner;
  parallel_items(s.outer * blocks, work, kGrainSummed, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % blocks * block;
      T* to[N];
      for (int k = 0; k < N; ++k) to[k] = partial + k * plane + unit * s.inner;
      block_sum(unit / blocks, first, std::min(s.size - first, block), to);
    }
  });
  for (int k = 0; k < N; ++k)
    for (int64_t o = 0; o < s.outer; ++o) {
      T* const mine = partial + k * plane + o * blocks * s.inner;
      add_tree(mine, blocks, s.inner);
      std::copy_n(mine, s.inner, y[k] + o * s.inner);
    }
}

// Columns of at most kSumRows rows, added up as a tree over chains of a few rows: one chain of them
// all would be off by 1e-6. Each level of the tree waits for its neighbour, as the digits of a
// binary counter do.
template <class T>
void sum_columns(int64_t rows, int64_t cols, const T* x, int64_t stride, T* y) {
  constexpr int64_t tile = 512;
  static_assert(kSumRows <= 256);
  const Kernels<T>& kernel = kernels<T>();
  const int64_t chain = rows <= 32 ? 4 : 8;
  alignas(64) T levels[7][tile];
  for (int64_t left = 0; left < cols; left += tile) {
    const int64_t width = std::min(cols - left, tile);
    int used = 0;  // levels[0 .. used) hold sums, each of more chains than the next
    for (int64_t r = 0, chains = 1; r < rows; r += chain, ++chains) {
      kernel.sum_rows(std::min(rows - r, chain), width, x + r * stride + left, stride,
                      levels[used++]);
      for (int64_t bit = chains; bit % 2 == 0; bit /= 2, --used)
        kernel.add_bias(1, width, levels[used - 2], tile, levels[used - 1]);
    }
    for (; used > 1; --used) kernel.add_bias(1, width, levels[used - 2], tile, levels[used - 1]);
    if (used)
      std::copy_n(levels[0], width, y + left);
    else
      std::fill_n(y + left, width, T(0));
  }
}

// Sums of x.
template <class T>
void sum_split(const T* x, const AxisSplit& s, T* y) {
  const Kernels<T>& kernel = kernels<T>();
  block_sums<T, 1>(s, {y}, [&](int64_t o, int64_t first, int64_t n, T* const* to) {
    const T* const from = x + (o * s.size + first) * s.inner;
    if (s.inner == 1)
      *to[0] = kernel.sum(n, from);
    else
      sum_columns(n, s.inner, from, s.inner, to[0]);
  });
}

// Sums of x - shift and of (x - shift)^2, where shift (outer, inner) has one number a result.
template <class T>
void deviation_sums(const T* x, const AxisSplit& s, const T* shift, T* first_y, T* second_y) {
  const Kernels<T>& kernel = kernels<T>();
  block_sums<T, 2>(s, {first_y, second_y}, [&](int64_t o, int64_t first, int64_t n, T* const* to) {
    const T* const from = x + (o * s.size + first) * s.inner;
    if (s.inner == 1)
      kernel.deviations(n, from, shift[o], to[0], to[1]);
    else
      kernel.deviations_rows(n, s.inner, from, s.inner, shift + o * s.inner, to[0], to[1]);
  });
}

}  // namespace ranvier
