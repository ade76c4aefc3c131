// Philox4x32-10: four 32-bit words from a 64-bit key and a 128-bit counter (Salmon et al., SC
// 2011, section 3 and figure 1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ranvier {

inline std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter) {
  constexpr uint32_t kM0 = 0xD2511F53, kM1 = 0xCD9E8D57, kW0 = 0x9E3779B9, kW1 = 0xBB67AE85;
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                               0, 0};
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kM0} * c[0], p1 = uint64_t{kM1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kW0;
    k1 += kW1;
  }
  return c;
}

// The words of this counter and of those behind it, kPhiloxBlock in all: word i of counter c is
// words[4 c + i]. Written so that compilers take several counters at a time.
inline constexpr int kPhiloxBlock = 8;

#include "core/philox_block.inc"

}  // namespace ranvier
