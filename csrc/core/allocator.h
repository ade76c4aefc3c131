// Memory for storages. Freed blocks wait in lists by size class, so that a training loop asks the
// system for memory in its first step only. Small ones come from pool.h.
#pragma once

#include <cstddef>

namespace ranvier {

inline constexpr std::size_t kAlignment = 64;

// Under AddressSanitizer every block is its own, so that a use after free is seen.
#if defined(__SANITIZE_ADDRESS__)
#define RANVIER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RANVIER_ASAN 1
#endif
#endif
#ifdef RANVIER_ASAN
inline constexpr bool kReuse = false;
#else
inline constexpr bool kReuse = true;
#endif

// 64-byte aligned, uninitialised; an Error of kind `memory` when there is none.
void* allocate(std::size_t bytes);
void deallocate(void* p, std::size_t bytes) noexcept;

// Gives every waiting block back to the system.
void empty_cache() noexcept;

// How often the system was asked for a block so far; it stands still where the lists suffice.
std::size_t system_requests() noexcept;

// A block for the time of a scope.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : bytes_(bytes), p_(allocate(bytes)) {}
  ~Scratch() { deallocate(p_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* get() const { return static_cast<char*>(p_); }

 private:
  std::size_t bytes_;
  void* p_;
};

}  // namespace ranvier
