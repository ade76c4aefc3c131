// The contract between ops and kernels: what each kernel does, and one table of function pointers
// per instruction set. Kernels see raw pointers, sizes and strides; they know no tensors and no
// threads. A null entry means that the table has no such kernel.
#pragma once

#include <cstdint>

namespace ranvier {

// Rows of ops/elementwise.def that have floating kernels.
enum class Row : int {
#define RV_UNARY(name, ...) name,
#define RV_BINARY(name, ...) name,
#define RV_TERNARY(name, ...) name,
#define RV_TEST(name, ...) name,
#define RV_COMPARE(name, ...) name,
#define RV_LOSS(name, ...) name,
#include "ops/elementwise.def"
};
inline constexpr int kRows = 0
#define RV_UNARY(name, ...) +1
#define RV_BINARY(name, ...) +1
#define RV_TERNARY(name, ...) +1
#define RV_TEST(name, ...) +1
#define RV_COMPARE(name, ...) +1
#define RV_LOSS(name, ...) +1
#include "ops/elementwise.def"
    ;

// What a derivative reads besides the incoming gradient: inputs x, y and w, result z.
enum Uses : unsigned { kNothing = 0, kX = 1, kY = 2, kZ = 4, kPass = 8, kW = 16 };

// out[i] = f(in[0][i], in[1][i], ...); everything contiguous. A derivative's inputs are g, x, y, z,
// null where it does not use them. `out` may be one of the inputs.
using MapFn = void (*)(int64_t n, const void* const* in, void* out, double attribute);

inline constexpr int64_t kSumBlock = 4096;
inline constexpr int64_t kSumRows = 256;

// One tile of a matrix product, C (mr, cols) = A (mr, k) B (k, cols), with cols <= lanes * nv;
// every element is one chain of multiply-adds over k that starts at 0, or at C when accumulating;
// the bias of its column, if given, is added to the end of the chain.
template <class T>
struct GemmTile {
  int64_t k;
  const T* a;
  int64_t a_row, a_k;  // strides of A
  const T* b;
  int64_t b_k;  // row stride of B; its columns are adjacent
  T* c;
  int64_t c_row;
  const T* bias;
  int last_cols;  // columns in the last vector
  bool accumulate;
};
template <class T>
using GemmTileFn = void (*)(const GemmTile<T>&);

// c[j] (+)= a[0] b[0][j] + a[1] b[1][j] + ..., one multiply-add after the other: rows of B as
// memory has them, for products with few rows.
template <class T>
struct GemmRow {
  int64_t n;
  const T* a;
  int64_t a_k;
  const T* b;
  int64_t b_k;
  T* c;
  bool accumulate;
};
template <class T>
using GemmRowFn = void (*)(const GemmRow<T>&);

// c[j] (+)= a[0] b[j][0] + a[1] b[j][1] + ..., one chain: a row times columns that memory has from
// end to end.
template <class T>
struct GemmColumns {
  int64_t n, k;
  const T* a;
  int64_t a_k;
  const T* b;
  int64_t b_col;
  T* c;
  bool accumulate;
};
template <class T>
using GemmColumnsFn = void (*)(const GemmColumns<T>&);

// A part of a matrix in the order in which tiles read it: see gemm_pack.inc.
template <class T>
using GemmPackFn = void (*)(int64_t n, int64_t k, const T* from, int64_t stride, T* to,
                            int64_t width);

inline constexpr int kMaxRowDepth = 8;  // rows of B that one call takes
// All of k for so few columns that their sums stay in registers: B is read from end to end.
template <class T>
using GemmStripFn = void (*)(const GemmRow<T>&, int64_t k);
inline constexpr int kMaxStrip = 16;  // vectors of columns
inline constexpr int kMaxTileRows = 12;
inline constexpr int kMaxTileVectors = 2;

// What a step of an optimizer is made of; each kernel reads the fields that its formula has.
struct UpdateArgs {
  double lr = 0, weight_decay = 0, eps = 0;
  double momentum = 0, dampening = 0;
  double beta1 = 0, beta2 = 0;              // how slowly means forget; elsewhere alpha or rho
  double correction1 = 1, correction2 = 1;  // 1 - beta^step, of the bias of means that began at 0
  double rate = 0, second_rate = 0;         // what the changes are multiplied by in the end
  double low = 0, high = 0, power = 0, l1 = 0, l2 = 0, shrinkage = 0;
  double scale = 1;        // of the gradient
  bool decoupled = false;  // weight decay shrinks the parameter, and is not in the gradient
  bool maximize = false;
  bool nesterov = false;
  bool first = false;           // state is to be written, not read
  bool eps_inside = false;      // under the root, or in the divisor where it is in the state
  bool lr_in_momentum = false;  // the buffer holds changes, in place of gradients
  bool operator==(const UpdateArgs&) const = default;
};

// x: the parameter, its gradient and the state, in the order of the op's inputs; null where the op
// has none.
template <class T>
using UpdateFn = void (*)(int64_t n, T* const* x, const UpdateArgs& args);
enum class Update : int {
  sgd,
  adam,
  rmsprop,
  adagrad,
  adadelta,
  adamax,
  nadam,
  radam,
  lion,
  rprop,
  asgd,
  ftrl,
  count
};

// Numbers of each column: what batch norm's backward reads.
template <class T>
struct ColumnArgs {
  const T *mean, *rstd, *scale, *level, *along;
};

template <class T>
struct Kernels {
  T (*sum)(int64_t n, const T* x);  // n <= kSumBlock
  // out[j] = sum over rows of x[r][j], each one chain over the rows
  void (*sum_rows)(int64_t rows, int64_t cols, const T* x, int64_t stride, T* out);
  // Sums of x - shift and of its square, for rows and down columns, as sum and sum_rows do.
  void (*deviations)(int64_t n, const T* x, T shift, T* first, T* second);  // n <= kSumBlock
  void (*deviations_rows)(int64_t rows, int64_t cols, const T* x, int64_t stride, const T* shift,
                          T* first, T* second);
  T (*max)(int64_t n, const T* x);  // NaN if there is one; -inf of nothing
  T (*min)(int64_t n, const T* x);
  bool (*all_finite)(int64_t n, const T* x);
  T (*log_sum_exp)(int64_t n, const T* x);
  // Rows of n elements, one behind the other.
  void (*softmax)(int64_t rows, int64_t n, const T* x, T* y);
  void (*softmax_backward)(int64_t rows, int64_t n, const T* g, const T* y, T* dx);
  void (*log_softmax)(int64_t rows, int64_t n, const T* x, T* y);
  void (*log_softmax_backward)(int64_t rows, int64_t n, const T* g, const T* y, T* dx);
  // The loss of every row; a label below 0 counts for nothing. log(sum(exp(x))) is lse[2 r] +
  // lse[2 r + 1], the largest x and the rest: added up they would lose the small digits of large
  // logits.
  void (*cross_entropy)(int64_t rows, int64_t n, const T* x, const int64_t* labels, T* lse,
                        T* loss);
  // Row r is scaled by scale[r * scale_step]. Of a part of a row: a label from n on is not in it.
  void (*cross_entropy_backward)(int64_t rows, int64_t n, const T* x, const int64_t* labels,
                                 const T* lse, const T* scale, int64_t scale_step, T* dx);
  // Layer norm of rows [1] and RMS norm [0], their gradient, and that of weight and bias.
  void (*norm_rows[2])(int64_t rows, int64_t n, const T* x, const T* w, const T* b, double eps,
                       T* y, T* mean, T* rstd);
  void (*norm_rows_backward[2])(int64_t rows, int64_t n, const T* g, const T* x, const T* w,
                                const T* mean, const T* rstd, T* dx);
  void (*norm_weight_rows[2])(int64_t rows, int64_t cols, int64_t stride, const T* g, const T* x,
                              const T* mean, const T* rstd, T* dw, T* db);
  // Batch norm: columns with given means and scales, and the sums of its backward.
  void (*scale_rows)(int64_t rows, int64_t cols, const T* x, const T* mean, const T* scale,
                     const T* shift, T* y);
  void (*column_products)(int64_t rows, int64_t cols, const T* g, const T* x, const T* mean,
                          const T* rstd, T* sums, T* products);
  void (*columns_backward)(int64_t rows, int64_t cols, const T* g, const T* x,
                           const ColumnArgs<T>& columns, T* dx);
  // The same where class i counts for q[i]; `whole` is the sum of q.
  T (*soft_cross_entropy)(int64_t n, const T* x, const T* q, T* lse);
  void (*soft_cross_entropy_backward)(int64_t n, const T* x, const T* q, T whole, const T* lse,
                                      T scale, T* dx);
  // Two uniform numbers in [0, 1) each to two normal ones (Box and Muller, 1958).
  void (*box_muller)(int64_t n, const T* u, const T* v, T* z0, T* z1);
  // y = x scale + shift, by scale[1] and shift[1] where the upper 24 bits of an element's word are
  // `least` or more, which is its mask.
  void (*dropout)(int64_t n, const uint32_t* words, uint32_t least, const T* scale, const T* shift,
                  const T* x, T* y, bool* mask);
  void (*dropout_backward)(int64_t n, T scale, const T* g, const bool* mask, T* dx);
  void (*add_bias)(int64_t rows, int64_t cols, T* c, int64_t stride, const T* bias);
  UpdateFn<T> update[static_cast<int>(Update::count)];
  int lanes, tile_rows, tile_vectors;
  GemmPackFn<T> pack_rows, pack_lines;
  GemmColumnsFn<T> gemm_columns;
  GemmRowFn<T> gemm_row[kMaxRowDepth + 1];      // [rows of B]
  GemmStripFn<T> gemm_strip[kMaxStrip + 1][2];  // [vectors][tail]; null from some number on
  GemmTileFn<T> gemm_tile[kMaxTileRows + 1][kMaxTileVectors + 1][2];  // [rows][vectors][tail]
};

struct KernelTable {
  const char* name;
  MapFn forward[kRows][2];  // [row][0: float32, 1: float64]
  MapFn backward_x[kRows][2];
  MapFn backward_y[kRows][2];
  // Words of the generator: blocks of kPhiloxBlock counters, as philox_block() orders them.
  void (*philox)(uint64_t key, uint64_t counter, int64_t blocks, uint32_t* words);
  Kernels<float> f32;
  Kernels<double> f64;
};

// The table in use; RANVIER_ISA or set_isa() choose it.
const KernelTable& kernel_table();

template <class T>
const Kernels<T>& kernels();
template <>
inline const Kernels<float>& kernels<float>() {
  return kernel_table().f32;
}
template <>
inline const Kernels<double>& kernels<double>() {
  return kernel_table().f64;
}

}  // namespace ranvier
