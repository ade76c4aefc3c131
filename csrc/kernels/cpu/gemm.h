// Matrix products for any strides. See gemm.cpp for the blocking and for what fixes the bits.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace ranvier {

// C (m, n) = A (m, k) B (k, n), then + bias, then the activation, if given. C is row-major with
// row stride c_row; A and B may have any strides. The activation may be the derivative of one: C is
// then multiplied by it, as it stands at the numbers `saved`.
template <class T>
struct Gemm {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_k;
  const T* b;
  int64_t b_k, b_col;
  T* c;
  int64_t c_row;
  bool accumulate = false;  // C += A B, continuing the chain from C
  const T* bias = nullptr;  // (n)
  MapFn activation = nullptr;
  double attribute = 0;
  const T* saved = nullptr;  // (m, n), rows saved_row apart: what a derivative reads
  int64_t saved_row = 0;
  uint16_t* rounded = nullptr;  // (m, n), rows n apart: C as bfloat16 as well; of pairs alone
  T* column_sums = nullptr;     // (n) = sums over k of the rows of B, or added to them as C is
};

template <class T>
void gemm(const Gemm<T>& g);

// The same of bfloat16 numbers A and B: products are summed in float32, two of them after another
// by one instruction, and every element is one chain of those over k. Only with pair_kernels().
struct PairGemm {
  int64_t m, n, k;
  const uint16_t* a;
  int64_t a_row, a_k;
  const uint16_t* b;
  int64_t b_k, b_col;
  float* c;  // may be null where the result is only wanted rounded
  int64_t c_row;
  bool accumulate = false;
  const float* bias = nullptr;
  MapFn activation = nullptr;
  uint16_t* rounded = nullptr;  // (m, n), rows n apart: the result as bfloat16
};
void gemm(const PairGemm& g);

extern template void gemm<float>(const Gemm<float>&);
extern template void gemm<double>(const Gemm<double>&);

}  // namespace ranvier
