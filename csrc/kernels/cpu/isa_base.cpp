// Kernels for any x86-64 processor.
#include "kernels/cpu/region.h"

namespace ranvier {
namespace isa_base {
namespace {
#include "kernels/cpu/vec_sse2.inc"
template <class H>
struct Twice;
using VF = Twice<Twice<F4>>;
using VD = Twice<Twice<D2>>;
#include "kernels/cpu/kernels.inc"
}  // namespace
}  // namespace isa_base

const KernelTable& base_table() {
  static const KernelTable table = isa_base::make_table<2, 1>("base");
  return table;
}

}  // namespace ranvier
