// Blocking, packing and threads of the matrix product; free of any instruction set.
// The loops follow Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"
// (2008). An element of C is one chain of multiply-adds over the whole of k, whatever the blocks:
// a later k-block loads C and continues. Tiles, packing and threads therefore never change a bit.
#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "kernels/cpu/pairs.h"

namespace ranvier {
namespace {

constexpr int64_t kBlockK = 512;          // rows of a panel of B, which is packed
constexpr int64_t kBlockBytes = 2 << 20;  // of A that a panel of B is packed for: they stay in L2
constexpr int64_t kDirectBytes = 512 << 10;     // B up to this size is read where it lies
constexpr int64_t kDirectBytesApart = 4 << 20;  // if its rows do not take each other's place in L1
constexpr int64_t kPlaces = 2048;               // addresses that far apart share few places in L1
constexpr int64_t kFewRows = 4, kFewRowsStep = 64;
constexpr int64_t kRowColumns = 4096;      // of C that a step over rows of B keeps in L1
constexpr int64_t kTaskPanels = 2;         // of B, at least, in a task of a large product
constexpr int64_t kTaskTiles = 4;          // for which a panel is packed, at least
constexpr int64_t kFewTasks = 8;           // fewer are not shared out evenly
constexpr int64_t kTaskWork = 1 << 18;     // multiply-adds worth a task of their own
constexpr int64_t kPairWork = 1 << 18;     // from here on there are two: some 3 us become 2 us
constexpr int64_t kRowTaskWork = 1 << 16;  // of one row, which waits for memory
constexpr int64_t kShortColumn = 8;
constexpr int64_t kRowPiece = 192;  // columns of a task for one row, at least

// Cuts [0, n) into pieces of nearly one size, all but the last of whole units.
struct Cut {
  int64_t n, unit, units, count;
  Cut(int64_t total, int64_t wanted, int64_t size)
      : n(total),
        unit(size),
        units((n + unit - 1) / unit),
        count(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(units, 1))) {}
  int64_t pieces() const { return count; }
  int64_t begin(int64_t i) const { return i * units / count * unit; }
  int64_t end(int64_t i) const { return std::min(n, begin(i + 1)); }
};

// Heights of the tiles that rows are cut into: as few as can be, and none much lower than others.
struct Heights {
  int64_t left, tiles;
  Heights(int64_t rows, int64_t most) : left(rows), tiles((rows + most - 1) / most) {}
  int64_t next() {
    const int64_t height = (left + tiles - 1) / tiles;
    left -= height;
    --tiles;
    return height;
  }
};

// Rows [i0, i1) of C and columns from j on, at most a tile's, with the rows of B from k0 on that
// lie at `b`.
template <class T>
struct Panel {
  int64_t i0, i1, j, cols, k0, k;
  const T* b;
  int64_t b_k;
};
// call(kernel of a tile, tile) for each of them.
template <class T, class F>
void for_tiles(const Kernels<T>& kernel, const Gemm<T>& g, const Panel<T>& p, F call) {
  const int64_t vectors = (p.cols + kernel.lanes - 1) / kernel.lanes;
  const int64_t last = p.cols - (vectors - 1) * kernel.lanes;
  GemmTile<T> tile{};
  tile.k = p.k;
  tile.a_row = g.a_row;
  tile.a_k = g.a_k;
  tile.b = p.b;
  tile.b_k = p.b_k;
  tile.c_row = g.c_row;
  tile.bias = g.bias && p.k0 + p.k == g.k ? g.bias + p.j : nullptr;
  tile.last_cols = static_cast<int>(last);
  tile.accumulate = g.accumulate || p.k0 > 0;
  Heights heights(p.i1 - p.i0, kernel.tile_rows);
  for (int64_t i = p.i0; i < p.i1;) {
    const int64_t rows = heights.next();
    tile.a = g.a + i * g.a_row + p.k0 * g.a_k;
    tile.c = g.c + i * g.c_row + p.j;
    call(kernel.gemm_tile[rows][vectors][last < kernel.lanes], tile);
    i += rows;
  }
}

template <class T>
void column_of_tiles(const Kernels<T>& kernel, const Gemm<T>& g, const Panel<T>& p) {
  for_tiles(kernel, g, p, [](GemmTileFn<T> f, const GemmTile<T>& tile) { f(tile); });
}

// What is done with a finished part of C while it is in the cache: the activation, and rounding.
template <class T>
void finish(const Gemm<T>& g, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  if (!g.activation && !g.rounded) return;
  for (int64_t i = i0; i < i1; ++i) {
    T* row = g.c + i * g.c_row + j0;
    const T* const saved = g.saved ? g.saved + i * g.saved_row + j0 : nullptr;
    const void* in[] = {row, saved, nullptr, saved};
    if (g.activation) g.activation(j1 - j0, in, row, g.attribute);
    if constexpr (std::is_same_v<T, float>)
      if (g.rounded) pair_kernels().round(j1 - j0, row, g.rounded + i * g.n + j0);
  }
}

// The rows of a panel of B added up while it is in the cache: one row of a product whose factors
// are 1, and with that one chain over k as any other.
template <class T, class F>
void for_sums(const Kernels<T>& kernel, const Gemm<T>& g, const Panel<T>& p, F call) {
  static constexpr T one = 1;
  Gemm<T> sums{};
  sums.k = g.k;
  sums.a = &one;
  sums.c = g.column_sums;
  sums.accumulate = g.accumulate;
  for_tiles(kernel, sums, Panel<T>{0, 1, p.j, p.cols, p.k0, p.k, p.b, p.b_k}, call);
}

template <class T>
void add_up_columns(const Kernels<T>& kernel, const Gemm<T>& g, const Panel<T>& p) {
  for_sums(kernel, g, p, [](GemmTileFn<T> f, const GemmTile<T>& tile) { f(tile); });
}

// The same where the product itself takes another way.
template <class T>
Gemm<T> sums_of_columns(const Gemm<T>& g) {
  static constexpr T one = 1;
  Gemm<T> sums{};
  sums.m = 1;
  sums.n = g.n;
  sums.k = g.k;
  sums.a = &one;
  sums.b = g.b;
  sums.b_k = g.b_k;
  sums.b_col = g.b_col;
  sums.c = g.column_sums;
  sums.c_row = g.n;
  sums.accumulate = g.accumulate;
  return sums;
}

// How many tasks the whole product is worth: one, or an even number, as most machines have an even
// number of cores. Only the figures depend on it, not the result.
template <class T>
int64_t task_count(const Gemm<T>& g, int64_t work = kTaskWork) {
  const int64_t all = g.m * g.n * g.k, tasks = all / grain(work);
  if (tasks < 2) return all < grain(kPairWork) ? 1 : 2;
  return tasks + tasks % 2;
}

// f(panel) for all rows and the columns [j0, j1), where B is read as it lies. With few rows B is
// read once: then along its rows, some at a time, as memory has it.
template <class T, class F>
void for_panels(const Kernels<T>& kernel, const Gemm<T>& g, int64_t j0, int64_t j1, F f) {
  const int64_t width = kernel.lanes * kernel.tile_vectors, whole = std::max<int64_t>(g.k, 1);
  const int64_t step = g.m <= kFewRows ? std::min(kFewRowsStep, whole) : whole;
  for (int64_t k0 = 0; k0 < whole; k0 += step)
    for (int64_t j = j0; j < j1; j += width)
      f(Panel<T>{0, g.m, j, std::min(width, j1 - j), k0, std::min(step, g.k - k0),
                 g.b + j + k0 * g.b_k, g.b_k});
}

// B is small and its columns are adjacent: no packing at all.
template <class T>
void gemm_direct(const Kernels<T>& kernel, const Gemm<T>& g) {
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  const int64_t tasks = std::min<int64_t>(task_count(g), 64);
  // Rows first; columns too where there are too few rows to go round.
  const Cut rows(g.m, std::min(tasks, (g.m + kernel.tile_rows - 1) / kernel.tile_rows), 1);
  const Cut cols(g.n, (tasks + rows.pieces() - 1) / rows.pieces(), width);
  for_chunks(rows.pieces() * cols.pieces(), max_workers(), [&](int64_t chunk, int) {
    const int64_t r = chunk / cols.pieces(), c = chunk % cols.pieces();
    const int64_t i0 = rows.begin(r), i1 = rows.end(r), j0 = cols.begin(c), j1 = cols.end(c);
    for_panels(kernel, g, j0, j1, [&](Panel<T> panel) {
      panel.i0 = i0;
      panel.i1 = i1;
      column_of_tiles(kernel, g, panel);
      if (g.column_sums && i0 == 0) add_up_columns(kernel, g, panel);
    });
    finish(g, i0, i1, j0, j1);
  });
}

// The kernel that keeps the sums of so many columns in registers; null where they are too many.
template <class T>
GemmStripFn<T> strip_for(const Kernels<T>& kernel, int64_t columns) {
  const int64_t vectors = (columns + kernel.lanes - 1) / kernel.lanes;
  return vectors > kMaxStrip ? nullptr : kernel.gemm_strip[vectors][columns % kernel.lanes != 0];
}

// Columns [begin, end) of one row.
template <class T>
void part_of_row(const Kernels<T>& kernel, const Gemm<T>& g, int64_t begin, int64_t end) {
  if (g.b_col != 1)
    kernel.gemm_columns(
        {end - begin, g.k, g.a, g.a_k, g.b + begin * g.b_col, g.b_col, g.c + begin, g.accumulate});
  else if (const auto strip = strip_for(kernel, end - begin))
    strip({end - begin, g.a, g.a_k, g.b + begin, g.b_k, g.c + begin, g.accumulate}, g.k);
  else
    for (int64_t j = begin; j < end; j += kRowColumns)
      for (int64_t k = 0; k < g.k; k += kMaxRowDepth)
        kernel.gemm_row[std::min<int64_t>(g.k - k, kMaxRowDepth)](
            {std::min(end - j, kRowColumns), g.a + k * g.a_k, g.a_k, g.b + k * g.b_k + j, g.b_k,
             g.c + j, g.accumulate || k > 0});
  if (g.bias) kernel.add_bias(1, end - begin, g.c + begin, g.c_row, g.bias + begin);
  finish(g, 0, 1, begin, end);
}

// One row, B's rows or columns from end to end: B is read once, as memory has it.
template <class T>
void gemm_one_row(const Kernels<T>& kernel, const Gemm<T>& g) {
  // Long pieces of rows, as memory is read best from end to end; columns are read so in any case.
  const int64_t least = g.b_col == 1 ? kRowPiece : 2 * kernel.lanes;
  int64_t tasks = std::min(task_count(g, kRowTaskWork), g.n / least);
  if (tasks > 1) tasks -= tasks % 2;
  const Cut cols(g.n, std::min<int64_t>(tasks, 64), 2 * kernel.lanes);
  for_chunks(cols.pieces(), max_workers(), [&](int64_t chunk, int) {
    part_of_row(kernel, g, cols.begin(chunk), cols.end(chunk));
  });
}

// to[p * width + i] = from[p * k_stride + i * stride] for i < n, p < k.
template <class T>
void pack(const Kernels<T>& kernel, int64_t n, int64_t k, const T* from, int64_t stride,
          int64_t k_stride, T* to, int64_t width) {
  if (stride == 1) return kernel.pack_lines(n, k, from, k_stride, to, width);
  if (k_stride == 1) return kernel.pack_rows(n, k, from, stride, to, width);
  for (int64_t p = 0; p < k; ++p)
    for (int64_t i = 0; i < n; ++i) to[p * width + i] = from[p * k_stride + i * stride];
}

// Blocks of k, of nearly one size, in which panels of B are packed.
struct BlocksOfK {
  int64_t step;
  explicit BlocksOfK(int64_t k) {
    const int64_t blocks = (k + kBlockK - 1) / kBlockK;
    step = (k + blocks - 1) / blocks;
  }
};

// Where the panel of columns from j on begins, with rows from k0 on: all panels of a block of k one
// after another, then the next block.
template <class T>
const T* packed_panel(const Kernels<T>& kernel, const Gemm<T>& g, int64_t k0, int64_t k,
                      int64_t j) {
  const int64_t width = kernel.lanes * kernel.tile_vectors, panels = (g.n + width - 1) / width;
  return g.packed->numbers + k0 * panels * width + j * k;
}

// A part of C. Panels of B are packed one after another into the same memory, just before their
// use. A is read where it lies: numbers of it are used one at a time, and packing it costs more
// than the few lines of cache that its rows take from each other.
template <class T>
void gemm_block(const Kernels<T>& kernel, const Gemm<T>& g, int64_t i0, int64_t i1, int64_t j0,
                int64_t j1) {
  const int64_t width = kernel.lanes * kernel.tile_vectors, step = BlocksOfK(g.k).step;
  const Scratch memory(g.packed ? 1 : static_cast<size_t>(step * width + kernel.lanes) * sizeof(T));
  T* const packed = reinterpret_cast<T*>(memory.get());
  for (int64_t k0 = 0; k0 < g.k; k0 += step) {
    const int64_t k = std::min(step, g.k - k0);
    for (int64_t j = j0; j < j1; j += width) {
      const int64_t cols = std::min(width, j1 - j);
      const T* const b = g.packed ? packed_panel(kernel, g, k0, k, j) : packed;
      if (!g.packed)
        pack(kernel, cols, k, g.b + k0 * g.b_k + j * g.b_col, g.b_col, g.b_k, packed, width);
      const Panel<T> panel{i0, i1, j, cols, k0, k, b, width};
      column_of_tiles(kernel, g, panel);
      if (g.column_sums && i0 == 0) add_up_columns(kernel, g, panel);
    }
  }
  finish(g, i0, i1, j0, j1);
}

template <class T>
void gemm_packed(const Kernels<T>& kernel, const Gemm<T>& g) {
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  const int64_t block_m = kBlockBytes / kBlockK / static_cast<int64_t>(sizeof(T));
  const int64_t blocks = (g.m + block_m - 1) / block_m;
  const int64_t tasks = std::min<int64_t>(task_count(g), 32);
  // Columns are shared out: B is then packed once. Rows too where there are too few columns.
  const Cut cols(g.n, std::min(tasks / blocks, g.n / (kTaskPanels * width)), width);
  const int64_t more = std::min(std::min<int64_t>(tasks, kFewTasks) / cols.pieces(),
                                g.m / (kTaskTiles * kernel.tile_rows));
  const Cut rows(g.m, std::max(blocks, more), 1);
  for_chunks(rows.pieces() * cols.pieces(), max_workers(), [&](int64_t chunk, int) {
    const int64_t r = chunk % rows.pieces(), c = chunk / rows.pieces();
    gemm_block(kernel, g, rows.begin(r), rows.end(r), cols.begin(c), cols.end(c));
  });
}

// Whether B is best read where it lies. In a few of its columns all rows are read again and again,
// so they should fit into a cache together; a single row of tiles reads everything once.
template <class T>
bool reads_in_place(const Kernels<T>& kernel, const Gemm<T>& g) {
  if (g.b_col != 1 && g.n > 1) return false;
  constexpr auto size = static_cast<int64_t>(sizeof(T));
  const int64_t bytes = g.k * g.n * size, a_bytes = g.m * g.k * size;
  return g.m <= kernel.tile_rows || bytes <= kDirectBytes ||
         (bytes <= kDirectBytesApart && 2 * a_bytes <= kBlockBytes && g.b_k * size % kPlaces != 0);
}

template <class T>
void run(const Kernels<T>& kernel, const Gemm<T>& g);

// One column: the other way round it is one row, with the rows of A as columns side by side.
template <class T>
Gemm<T> as_row(const Gemm<T>& g) {
  Gemm<T> row{};
  row.m = 1;
  row.n = g.m;
  row.k = g.k;
  row.a = g.b;
  row.a_row = 1;
  row.a_k = g.b_k;
  row.b = g.a;
  row.b_k = g.a_k;
  row.b_col = g.a_row;
  row.c = g.c;
  row.c_row = g.m;
  row.accumulate = g.accumulate;
  return row;
}
template <class T>
void finish_column(const Gemm<T>& g) {
  if (g.bias)
    for (int64_t i = 0; i < g.m; ++i) g.c[i] = g.c[i] + *g.bias;
  if (g.saved && g.saved_row != 1) return finish(g, 0, g.m, 0, 1);
  Gemm<T> seen = g;  // as a row
  seen.n = seen.saved_row = g.m;
  finish(seen, 0, 1, 0, g.m);
}

enum class Way { nothing, sums, direct, packed, column, row };

template <class T>
Way way_of(const Kernels<T>& kernel, const Gemm<T>& g) {
  if (g.m == 0 && g.column_sums) return Way::sums;
  if (g.m == 0 || g.n == 0) return Way::nothing;
  // A product without terms is zero, and still gets its bias: the direct path writes it.
  if (g.k == 0) return Way::direct;
  if (g.packed) return Way::packed;
  if (g.n == 1 && g.m > 1 && g.c_row == 1) return Way::column;
  const bool rows = g.b_col == 1 && g.n > 2 * kernel.lanes, columns = g.b_k == 1 && g.b_col != 1;
  if (g.m == 1 && (rows || columns)) return Way::row;
  return reads_in_place(kernel, g) ? Way::direct : Way::packed;
}

template <class T>
void run(const Kernels<T>& kernel, const Gemm<T>& g) {
  const Way way = way_of(kernel, g);
  const bool apart = way == Way::sums || way == Way::column || way == Way::row;
  if (apart && g.column_sums) run(kernel, sums_of_columns(g));
  if (way == Way::direct) gemm_direct(kernel, g);
  if (way == Way::packed) gemm_packed(kernel, g);
  if (way == Way::row) gemm_one_row(kernel, g);
  if (way != Way::column) return;
  run(kernel, as_row(g));
  finish_column(g);
}

// ---- prepared

// A product that reads B where it lies and is one task: a list of tiles.
template <class T>
class TileList {
 public:
  TileList(const Kernels<T>& kernel, const Gemm<T>& g) : g_(g) {
    const auto keep = [&](GemmTileFn<T> f, const GemmTile<T>& tile) {
      calls_.push_back({f, tile});
    };
    for_panels(kernel, g, 0, g.n, [&](const Panel<T>& panel) {
      for_tiles(kernel, g, panel, keep);
      if (g.column_sums) for_sums(kernel, g, panel, keep);
    });
    // As one row, where all is adjacent: an activation looks at each number by itself.
    if (g.c_row == g.n && (!g.saved || g.saved_row == g.n) && !g.rounded) {
      g_.n = g.m * g.n;
      g_.m = 1;
    }
  }
  void operator()() const {
    for (const Call& call : calls_) call.f(call.tile);
    finish(g_, 0, g_.m, 0, g_.n);
  }

 private:
  struct Call {
    GemmTileFn<T> f;
    GemmTile<T> tile;
  };
  Gemm<T> g_;
  std::vector<Call> calls_;
};

template <class T>
std::function<void()> prepared(const Kernels<T>& kernel, const Gemm<T>& g) {
  if (task_count(g, kRowTaskWork) > 1) return [&kernel, g] { run(kernel, g); };
  const Way way = way_of(kernel, g);
  std::function<void()> call;
  // Every way has the same bits; for a short column one tile is the shortest.
  if (way == Way::direct || (way == Way::column && g.m <= kShortColumn))
    return TileList<T>(kernel, g);
  if (way == Way::packed) return [&kernel, g] { gemm_packed(kernel, g); };
  if (way == Way::row) call = [&kernel, g] { part_of_row(kernel, g, 0, g.n); };
  if (way == Way::column)
    call = [g, first = prepared(kernel, as_row(g))] {
      first();
      finish_column(g);
    };
  if (!call) call = [] {};
  if (!g.column_sums) return call;
  return [sums = prepared(kernel, sums_of_columns(g)), call] {
    sums();
    call();
  };
}

}  // namespace

template <class T>
std::function<void()> prepared_gemm(const Gemm<T>& g) {
  return prepared(g.packed ? *g.packed->kernels : kernels<T>(), g);
}

template <class T>
void gemm(const Gemm<T>& g) {
  // Asked for once: another thread may choose another table.
  run(g.packed ? *g.packed->kernels : kernels<T>(), g);
}

template <class T>
int64_t packed_size(int64_t k, int64_t n) {
  const Kernels<T>& kernel = kernels<T>();
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  return (n + width - 1) / width * width * k + kernel.lanes;
}

template <class T>
PackedB<T> pack_b(const Gemm<T>& g, T* to) {
  const Kernels<T>& kernel = kernels<T>();
  const int64_t width = kernel.lanes * kernel.tile_vectors;
  const int64_t step = g.k > 0 ? BlocksOfK(g.k).step : 1;
  T* at = to;
  for (int64_t k0 = 0; k0 < g.k; k0 += step) {
    const int64_t k = std::min(step, g.k - k0);
    for (int64_t j = 0; j < g.n; j += width, at += k * width)
      pack(kernel, std::min(width, g.n - j), k, g.b + k0 * g.b_k + j * g.b_col, g.b_col, g.b_k, at,
           width);
  }
  return {&kernel, to};
}

template void gemm<float>(const Gemm<float>&);
template void gemm<double>(const Gemm<double>&);
template std::function<void()> prepared_gemm<float>(const Gemm<float>&);
template std::function<void()> prepared_gemm<double>(const Gemm<double>&);
template int64_t packed_size<float>(int64_t, int64_t);
template int64_t packed_size<double>(int64_t, int64_t);
template PackedB<float> pack_b<float>(const Gemm<float>&, float*);
template PackedB<double> pack_b<double>(const Gemm<double>&, double*);

// ---- bfloat16

namespace {

// n rows (columns) of k numbers as pairs along k. Where memory has them side by side they are read
// where they lie, else they are copied.
class Pairs {
 public:
  Pairs(const PairKernels& kernels, int64_t n, int64_t k, const uint16_t* from, int64_t stride,
        int64_t k_stride)
      : count_((k + 1) / 2),
        in_place_(k_stride == 1 && k % 2 == 0 && (stride % 2 == 0 || n == 1) &&
                  reinterpret_cast<uintptr_t>(from) % sizeof(float) == 0),
        memory_(in_place_ ? 1 : static_cast<size_t>(n * count_) * sizeof(float)) {
    if (in_place_) {
      start_ = reinterpret_cast<const float*>(from);
      stride_ = stride / 2;
      return;
    }
    start_ = reinterpret_cast<const float*>(memory_.get());
    if (k_stride == 1) {
      stride_ = count_;
      copy_rows(n, k, from, stride);
    } else {
      k_stride_ = n;
      join_rows(kernels, n, k, from, stride, k_stride);
    }
  }
  const float* start() const { return start_; }
  int64_t count() const { return count_; }
  int64_t stride() const { return stride_; }
  int64_t k_stride() const { return k_stride_; }

 private:
  void copy_rows(int64_t n, int64_t k, const uint16_t* from, int64_t stride) {
    auto* const to = reinterpret_cast<uint16_t*>(memory_.get());
    parallel_items(n, k, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::copy_n(from + i * stride, k, to + i * 2 * count_);
        if (k % 2) to[i * 2 * count_ + k] = 0;
      }
    });
  }
  void join_rows(const PairKernels& kernels, int64_t n, int64_t k, const uint16_t* from,
                 int64_t stride, int64_t k_stride) {
    auto* const to = reinterpret_cast<uint16_t*>(memory_.get());
    parallel_items(count_, 2 * n, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const uint16_t* const first = from + 2 * p * k_stride;
        const uint16_t* const second = 2 * p + 1 < k ? first + k_stride : nullptr;
        uint16_t* const row = to + 2 * p * n;
        if (stride == 1) {
          kernels.interleave(n, first, second, row);
          continue;
        }
        for (int64_t i = 0; i < n; ++i) {
          row[2 * i] = first[i * stride];
          row[2 * i + 1] = second ? second[i * stride] : uint16_t{0};
        }
      }
    });
  }

  int64_t count_;
  bool in_place_;
  Scratch memory_;
  const float* start_ = nullptr;
  int64_t stride_ = 1, k_stride_ = 1;
};

}  // namespace

void gemm(const PairGemm& g) {
  if (g.m == 0 || g.n == 0) return;
  const PairKernels& kernels = pair_kernels();
  const Pairs a(kernels, g.m, g.k, g.a, g.a_row, g.a_k);
  const Pairs b(kernels, g.n, g.k, g.b, g.b_col, g.b_k);
  Gemm<float> pairs{};
  pairs.m = g.m;
  pairs.n = g.n;
  pairs.k = a.count();
  pairs.a = a.start();
  pairs.a_row = a.stride();
  pairs.a_k = a.k_stride();
  pairs.b = b.start();
  pairs.b_k = b.k_stride();
  pairs.b_col = b.stride();
  const Scratch sums(g.c ? 1 : static_cast<size_t>(g.m * g.n) * sizeof(float));
  pairs.c = g.c ? g.c : reinterpret_cast<float*>(sums.get());
  pairs.c_row = g.c ? g.c_row : g.n;
  pairs.accumulate = g.accumulate;
  pairs.bias = g.bias;
  pairs.activation = g.activation;
  pairs.rounded = g.rounded;
  run(kernels.products, pairs);
}

}  // namespace ranvier
