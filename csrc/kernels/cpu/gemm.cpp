// Blocking, packing and threads of the matrix product; free of any instruction set.
// The loops follow Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"
// (2008). An element of C is one chain of multiply-adds over the whole of k, whatever the blocks:
// a later k-block loads C and continues. Tiles, packing and threads therefore never change a bit.
#include "kernels/cpu/gemm.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"

namespace ranvier {
namespace {

constexpr int64_t kBlockK = 512;
constexpr int64_t kBlockM = 192;   // of packed A per task: kBlockM * kBlockK floats stay in L2
constexpr int64_t kBlockN = 4096;  // of packed B: kBlockN * kBlockK floats stay in L3
constexpr int64_t kDirectBytes = 512 << 10;  // B up to this size is read where it lies
constexpr int64_t kFewRows = 4, kFewRowsStep = 16;
constexpr int64_t kRowColumns = 4096;   // of C that a step over rows of B keeps in L1
constexpr int64_t kTaskWork = 1 << 18;  // multiply-adds worth a task of their own

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

// Cuts [0, n) into pieces whose size is a multiple of `unit`.
struct Cut {
  int64_t n, step;
  Cut(int64_t total, int64_t pieces, int64_t unit)
      : n(total), step(round_up(std::max<int64_t>((total + pieces - 1) / pieces, 1), unit)) {}
  int64_t pieces() const { return (n + step - 1) / step; }
  int64_t begin(int64_t i) const { return i * step; }
  int64_t end(int64_t i) const { return std::min(n, (i + 1) * step); }
};

// Rows [i0, i1) and columns [j0, j1) of C from A and B that may be packed or not: `a_at(i)` and
// `b_at(j)` point to the first element of a tile, with the strides beside them.
template <class T, class AtA, class AtB>
void tiles(const Kernels<T>& kernel, const Gemm<T>& g, int64_t i0, int64_t i1, int64_t j0,
           int64_t j1, int64_t k, AtA a_at, int64_t a_row, int64_t a_k, AtB b_at, int64_t b_k,
           bool accumulate) {
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  for (int64_t j = j0; j < j1; j += width) {
    const int64_t cols = std::min(width, j1 - j);
    const int64_t vectors = (cols + kernel.lanes - 1) / kernel.lanes;
    const int64_t last = cols - (vectors - 1) * kernel.lanes;
    for (int64_t i = i0; i < i1; i += kernel.tile_rows) {
      const int64_t rows = std::min<int64_t>(kernel.tile_rows, i1 - i);
      const GemmTile<T> tile{k,
                             a_at(i),
                             a_row,
                             a_k,
                             b_at(j),
                             b_k,
                             g.c + i * g.c_row + j,
                             g.c_row,
                             static_cast<int>(last),
                             accumulate};
      kernel.gemm_tile[rows][vectors][last < kernel.lanes](tile);
    }
  }
}

// Bias and activation of a finished part of C.
template <class T>
void finish(const Kernels<T>& kernel, const Gemm<T>& g, int64_t i0, int64_t i1, int64_t j0,
            int64_t j1) {
  if (g.bias) kernel.add_bias(i1 - i0, j1 - j0, g.c + i0 * g.c_row + j0, g.c_row, g.bias + j0);
  if (!g.activation) return;
  for (int64_t i = i0; i < i1; ++i) {
    T* row = g.c + i * g.c_row + j0;
    const void* in[] = {row};
    g.activation(j1 - j0, in, row, g.attribute);
  }
}

// How many tasks the whole product is worth. Only the figures depend on it, not the result.
template <class T>
int64_t task_count(const Gemm<T>& g) {
  return std::max<int64_t>(g.m * g.n * g.k / grain(kTaskWork), 1);
}

// B is small and its columns are adjacent: no packing at all.
template <class T>
void gemm_direct(const Kernels<T>& kernel, const Gemm<T>& g) {
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  const int64_t tasks = std::min<int64_t>(task_count(g), 64);
  // Rows first; columns too where there are too few rows to go round.
  const Cut rows(g.m, std::min(tasks, (g.m + kernel.tile_rows - 1) / kernel.tile_rows),
                 kernel.tile_rows);
  const Cut cols(g.n, (tasks + rows.pieces() - 1) / rows.pieces(), width);
  // With few rows B is read once: then along its rows, some at a time, as memory has it.
  const int64_t step = g.m <= kFewRows ? kFewRowsStep : std::max<int64_t>(g.k, 1);
  for_chunks(rows.pieces() * cols.pieces(), max_workers(), [&](int64_t chunk, int) {
    const int64_t r = chunk / cols.pieces(), c = chunk % cols.pieces();
    for (int64_t k0 = 0; k0 < std::max<int64_t>(g.k, 1); k0 += step) {
      tiles(
          kernel, g, rows.begin(r), rows.end(r), cols.begin(c), cols.end(c),
          std::min(step, g.k - k0), [&](int64_t i) { return g.a + i * g.a_row + k0 * g.a_k; },
          g.a_row, g.a_k, [&](int64_t j) { return g.b + j + k0 * g.b_k; }, g.b_k,
          g.accumulate || k0 > 0);
    }
    finish(kernel, g, rows.begin(r), rows.end(r), cols.begin(c), cols.end(c));
  });
}

// One row, B's columns adjacent: B is read once, some of its rows at a time, each from end to end.
template <class T>
void gemm_one_row(const Kernels<T>& kernel, const Gemm<T>& g) {
  const Cut cols(g.n, std::min<int64_t>(task_count(g), 64), kernel.lanes * 4);
  for_chunks(cols.pieces(), max_workers(), [&](int64_t chunk, int) {
    const int64_t end = cols.end(chunk);
    for (int64_t j = cols.begin(chunk); j < end; j += kRowColumns) {
      for (int64_t k = 0; k < g.k; k += kMaxRowDepth)
        kernel.gemm_row[std::min<int64_t>(g.k - k, kMaxRowDepth)](
            {std::min(end - j, kRowColumns), g.a + k * g.a_k, g.a_k, g.b + k * g.b_k + j, g.b_k,
             g.c + j, g.accumulate || k > 0});
    }
    finish(kernel, g, 0, 1, cols.begin(chunk), end);
  });
}

// Panel of `width` columns, row after row, padded with zeros.
template <class T>
void pack_columns(const T* b, int64_t b_k, int64_t b_col, int64_t k, int64_t cols, int64_t width,
                  T* to) {
  if (b_col == 1) {
    for (int64_t p = 0; p < k; ++p, to += width) {
      std::copy_n(b + p * b_k, cols, to);
      std::fill(to + cols, to + width, T(0));
    }
    return;
  }
  // Blocks of k keep the lines that strided reads touch in L1.
  constexpr int64_t kStep = 16;
  for (int64_t p0 = 0; p0 < k; p0 += kStep) {
    const int64_t p1 = std::min(k, p0 + kStep);
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t p = p0; p < p1; ++p) to[p * width + j] = b[p * b_k + j * b_col];
    for (int64_t p = p0; p < p1; ++p) std::fill(to + p * width + cols, to + (p + 1) * width, T(0));
  }
}

template <class T>
void gemm_packed(const Kernels<T>& kernel, const Gemm<T>& g) {
  const int workers = max_workers();
  const int64_t width = kernel.lanes * kernel.tile_vectors, height = kernel.tile_rows;
  const int64_t block_k = std::min(g.k, kBlockK), block_n = std::min(g.n, kBlockN);
  const int64_t tasks = task_count(g);
  const Cut rows(
      g.m,
      std::clamp<int64_t>(tasks, (g.m + kBlockM - 1) / kBlockM, std::max<int64_t>(g.m / 48, 1)),
      height);
  const int64_t a_size = round_up(rows.step, height) * block_k;
  const Scratch b_memory(static_cast<size_t>(round_up(block_n, width) * block_k) * sizeof(T));
  const Scratch a_memory(static_cast<size_t>(a_size * workers) * sizeof(T));
  T* const packed_b = reinterpret_cast<T*>(b_memory.get());
  T* const packed_a = reinterpret_cast<T*>(a_memory.get());

  for (int64_t n0 = 0; n0 < g.n; n0 += block_n) {
    const int64_t n1 = std::min(g.n, n0 + block_n);
    const int64_t panels = (n1 - n0 + width - 1) / width;
    // Few rows: share the columns out as well. A is then packed once for each share.
    const Cut cols(n1 - n0, std::clamp<int64_t>(8 / rows.pieces(), 1, std::min(tasks, panels)),
                   width);
    for (int64_t k0 = 0; k0 < g.k; k0 += block_k) {
      const int64_t k = std::min(block_k, g.k - k0);
      parallel_items(panels, width * k, 1 << 16, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel) {
          const int64_t j = n0 + panel * width;
          pack_columns(g.b + k0 * g.b_k + j * g.b_col, g.b_k, g.b_col, k, std::min(width, n1 - j),
                       width, packed_b + panel * width * k);
        }
      });
      for_chunks(rows.pieces() * cols.pieces(), workers, [&](int64_t chunk, int worker) {
        const int64_t r = chunk % rows.pieces(), c = chunk / rows.pieces();
        const int64_t i0 = rows.begin(r), i1 = rows.end(r);
        const int64_t j0 = n0 + cols.begin(c), j1 = n0 + cols.end(c);
        T* const mine = packed_a + worker * a_size;
        for (int64_t i = i0; i < i1; i += height)
          pack_columns(g.a + i * g.a_row + k0 * g.a_k, g.a_k, g.a_row, k, std::min(height, i1 - i),
                       height, mine + (i - i0) * k);
        tiles(
            kernel, g, i0, i1, j0, j1, k, [&](int64_t i) { return mine + (i - i0) * k; }, 1, height,
            [&](int64_t j) { return packed_b + (j - n0) * k; }, width, g.accumulate || k0 > 0);
        if (k0 + k == g.k) finish(kernel, g, i0, i1, j0, j1);
      });
    }
  }
}

}  // namespace

template <class T>
void gemm(const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  const Kernels<T>& kernel = kernels<T>();  // once: another thread may choose another table
  const bool small = g.k * g.n * static_cast<int64_t>(sizeof(T)) <= kDirectBytes;
  // A product without terms is zero, and still gets its bias: the direct path writes it.
  const bool adjacent = g.b_col == 1 || g.n == 1;
  if (g.m == 1 && g.k > 0 && adjacent && g.n > 2 * kernel.lanes)
    gemm_one_row(kernel, g);
  else if (g.k == 0 || (adjacent && (small || g.m <= kFewRows)))
    gemm_direct(kernel, g);
  else
    gemm_packed(kernel, g);
}

template void gemm<float>(const Gemm<float>&);
template void gemm<double>(const Gemm<double>&);

}  // namespace ranvier
