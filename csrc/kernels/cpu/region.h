// What every isa_*.cpp needs before its target region opens. All std and intrinsics headers come
// first, outside the region: an inline std function compiled inside it would be code for a newer
// processor under a name that the linker may use everywhere.
#pragma once

// g++ 12 warns falsely about its own avx512fintrin.h.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/philox.h"
#include "kernels/kernels.h"

#define RV_INLINE static inline __attribute__((always_inline))
#define RV_INLINE_LAMBDA __attribute__((always_inline))
#define RV_NOINLINE static __attribute__((noinline))

#if defined(__clang__)
#define RV_PRAGMA(text) _Pragma(#text)
#define RV_BEGIN_TARGET(features) \
  RV_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define RV_END_TARGET _Pragma("clang attribute pop")
#else
#define RV_PRAGMA(text) _Pragma(#text)
#define RV_BEGIN_TARGET(features) _Pragma("GCC push_options") RV_PRAGMA(GCC target(features))
#define RV_END_TARGET _Pragma("GCC pop_options")
#endif

namespace ranvier {
const KernelTable& base_table();
const KernelTable& avx2_table();
const KernelTable& avx512_table();
}  // namespace ranvier
