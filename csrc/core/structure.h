// A count that moves on whenever something changes that a recorded step does not read as a value:
// a module's attributes, what asks for a gradient, hooks, settings. A program whose count is still
// the present one needs no other check of them.
#pragma once

#include <atomic>
#include <cstdint>

namespace ranvier {

inline std::atomic<uint64_t> structure_count{1};

inline uint64_t structure_version() { return structure_count.load(std::memory_order_acquire); }
inline void structure_changed() { structure_count.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace ranvier
