// Kernels for processors with AVX2 and FMA.
#include "kernels/cpu/region.h"

RV_BEGIN_TARGET("avx2,fma")
namespace ranvier {
namespace isa_avx2 {
namespace {
#include "kernels/cpu/vec_avx2.inc"
template <class H>
struct Twice;
using VF = Twice<F8>;
using VD = Twice<D4>;
#include "kernels/cpu/kernels.inc"
}  // namespace
KernelTable make() { return make_table<6, 1>("avx2"); }
}  // namespace isa_avx2
}  // namespace ranvier
RV_END_TARGET

namespace ranvier {

// Filled at its first use, which select.cpp allows only on a processor that has the instructions.
const KernelTable& avx2_table() {
  static const KernelTable table = isa_avx2::make();
  return table;
}

}  // namespace ranvier
