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
  T* column_sums = nullptr;  // (n) = sums over k of the rows of B, or added to them as C is
};

template <class T>
void gemm(const Gemm<T>& g);

extern template void gemm<float>(const Gemm<float>&);
extern template void gemm<double>(const Gemm<double>&);

}  // namespace ranvier
