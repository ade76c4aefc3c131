// Memory of what comes and goes with every op: tensor handles, nodes, small storages. Each thread
// keeps the blocks that were given back to it, so that a steady state asks the system for none and
// takes no lock.
#pragma once

#include <cstddef>

namespace ranvier {

inline constexpr std::size_t kPooledBytes = 2048;  // the largest block

// 64-byte aligned; null where the system has no memory. The return must name the same size.
void* pool_take(std::size_t bytes);
void pool_give(void* block, std::size_t bytes) noexcept;

// As operator new: std::bad_alloc instead of null.
void* pool_new(std::size_t bytes);

}  // namespace ranvier
