// Products of bfloat16 numbers for processors with AVX512_BF16: one instruction multiplies a pair
// of them with another pair and adds both products to a float32. All it does is to stand in for the
// multiply-add of the other kernels: to them a pair is a number.
#include "kernels/cpu/pairs.h"
#include "kernels/cpu/region.h"

RV_BEGIN_TARGET("avx512bf16,avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
namespace ranvier {
namespace isa_avx512_bf16 {
namespace {
#include "kernels/cpu/vec_avx512.inc"
// clang-format off
#include "kernels/cpu/vec.inc"
// clang-format on

// 16 pairs, the first number of each in the lower half; or 16 sums.
struct P16 {
  using T = float;
  static constexpr int lanes = 16;
  __m512 v;
};
RV_INLINE P16 operator+(P16 a, P16 b) { return {_mm512_add_ps(a.v, b.v)}; }
RV_INLINE P16 fma(P16 a, P16 b, P16 c) {
  return {_mm512_dpbf16_ps(c.v, (__m512bh)_mm512_castps_si512(a.v),
                           (__m512bh)_mm512_castps_si512(b.v))};
}
RV_INLINE P16 splat_to(P16, float x) { return {_mm512_set1_ps(x)}; }
RV_INLINE P16 load_to(P16, const float* p) { return {_mm512_loadu_ps(p)}; }
RV_INLINE void store_to(float* p, P16 x) { _mm512_storeu_ps(p, x.v); }
RV_INLINE P16 load_n_to(P16, const float* p, int n) { return {load_n<F16>(p, n).v}; }
RV_INLINE void store_n_to(float* p, P16 x, int n) { store_n(p, F16{x.v}, n); }
RV_INLINE void transpose(P16 (&x)[16]) {
  F16 y[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) y[i].v = x[i].v;
  transpose(y);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i].v = y[i].v;
}

#include "kernels/cpu/gemm_micro.inc"
#include "kernels/cpu/gemm_pack.inc"

// Two rows as one of pairs; a row that is missing is zeros.
void interleave(int64_t n, const uint16_t* first, const uint16_t* second, void* pairs) {
  auto* const to = static_cast<uint32_t*>(pairs);
  const auto part = [&](int64_t i, __mmask16 m) RV_INLINE_LAMBDA {
    const __m512i lo = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, first + i));
    const __m512i hi =
        second ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, second + i)) : __m512i{};
    _mm512_mask_storeu_epi32(to + i, m, _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
  };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) part(i, 0xffff);
  if (i < n) part(i, static_cast<__mmask16>((1u << (n - i)) - 1));
}

// As core/dtypes.h does it: to the nearest, ties to even; a NaN stays one.
void round(int64_t n, const float* x, uint16_t* y) {
  const auto part = [&](int64_t i, __mmask16 m) RV_INLINE_LAMBDA {
    const __m512 value = _mm512_maskz_loadu_ps(m, x + i);
    const __m512i bits = _mm512_castps_si512(value), upper = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i near = _mm512_srli_epi32(up, 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    const __m512i all = _mm512_mask_or_epi32(near, nan, upper, _mm512_set1_epi32(0x40));
    _mm256_mask_storeu_epi16(y + i, m, _mm512_cvtepi32_epi16(all));
  };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) part(i, 0xffff);
  if (i < n) part(i, static_cast<__mmask16>((1u << (n - i)) - 1));
}
}  // namespace

PairKernels make() {
  PairKernels pairs{avx512_table().f32, interleave, round};
  Kernels<float>& k = pairs.products;
  add_gemm<P16, 12, 2>(k);
  add_rows<P16, kMaxRowDepth>(k);
  add_strips<P16, kMaxStrip>(k);
  k.gemm_columns = gemm_columns<P16>;
  return pairs;
}
}  // namespace isa_avx512_bf16
}  // namespace ranvier
RV_END_TARGET

namespace ranvier {

const PairKernels& pair_kernels() {
  static const PairKernels kernels = isa_avx512_bf16::make();
  return kernels;
}

}  // namespace ranvier
