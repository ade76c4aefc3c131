// Kernels for processors with AVX-512 (F, DQ, BW, VL).
#include "kernels/cpu/region.h"

RV_BEGIN_TARGET("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
namespace ranvier {
namespace isa_avx512 {
namespace {
#include "kernels/cpu/vec_avx512.inc"
using VF = F16;
using VD = D8;
#include "kernels/cpu/kernels.inc"
}  // namespace
KernelTable make() { return make_table<12, 2>("avx512"); }
}  // namespace isa_avx512
}  // namespace ranvier
RV_END_TARGET

namespace ranvier {

// Filled at its first use, which select.cpp allows only on a processor that has the instructions.
const KernelTable& avx512_table() {
  static const KernelTable table = isa_avx512::make();
  return table;
}

}  // namespace ranvier
