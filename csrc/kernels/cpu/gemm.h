// Matrix products for any strides. See gemm.cpp for the blocking and for what fixes the bits.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/kernels.h"

namespace ranvier {

// A right factor in the order in which the kernels that it was packed for read it. For a matrix
// that takes part in many products with few rows: those spend most of their time on reading it.
template <class T>
struct PackedB {
  const Kernels<T>* kernels;
  const T* numbers;
};

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
  const PackedB<T>* packed = nullptr;  // B once more: it is read there
  T* column_sums = nullptr;  // (n) = sums over k of the rows of B, or added to them as C is
};

template <class T>
void gemm(const Gemm<T>& g);

// The same product of factors that stand still, for who computes it again and again: all decisions
// are taken, and of a small one only its tiles are left.
template <class T>
std::function<void()> prepared_gemm(const Gemm<T>& g);

// B of `g` packed for the kernels in use, into memory for as many numbers as packed_size() says. It
// has to live, and B to stay as it is, as long as products use it.
template <class T>
int64_t packed_size(int64_t k, int64_t n);
template <class T>
PackedB<T> pack_b(const Gemm<T>& g, T* to);

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
extern template std::function<void()> prepared_gemm<float>(const Gemm<float>&);
extern template std::function<void()> prepared_gemm<double>(const Gemm<double>&);
extern template int64_t packed_size<float>(int64_t, int64_t);
extern template int64_t packed_size<double>(int64_t, int64_t);
extern template PackedB<float> pack_b<float>(const Gemm<float>&, float*);
extern template PackedB<double> pack_b<double>(const Gemm<double>&, double*);

}  // namespace ranvier
