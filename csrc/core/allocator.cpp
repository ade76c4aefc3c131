// Size-class free lists over aligned blocks; see allocator.h.
#include "core/allocator.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "core/pool.h"
#include "ranvier/error.h"

#if defined(__linux__)
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace ranvier {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMaxCached = std::size_t{1} << 30;  // bytes waiting, all lists together
constexpr std::size_t kMaxBytes = std::size_t{1} << 45;   // of one block
constexpr int kClasses = (45 - 6) * 4 + 1;

// Four classes for every power of two from 64 bytes up: at most a quarter is wasted.
struct SizeClass {
  int index;
  std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) {
  if (bytes <= 64) return {0, 64};
  const int log = std::bit_width(bytes - 1) - 1;  // 2^log < bytes <= 2^(log+1)
  const std::size_t step = std::max<std::size_t>((std::size_t{1} << log) / 4, kAlignment);
  const std::size_t rounded = (bytes + step - 1) / step * step;
  const auto quarter = static_cast<int>((rounded - (std::size_t{1} << log)) / step);
  return {(log - 6) * 4 + quarter, rounded};
}

std::atomic<std::size_t> requests{0};

void* from_system(std::size_t bytes) {
  requests.fetch_add(1, std::memory_order_relaxed);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* p = nullptr;
  if (posix_memalign(&p, alignment, bytes) != 0) return nullptr;
#if defined(__linux__)
  // Fresh 4K pages make a first pass over a large result ten times slower.
  if (kReuse && bytes >= kHugePage) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

struct Cache {
  std::mutex mutex;
  std::vector<void*> lists[kClasses];
  std::size_t waiting = 0;
};

// Never destroyed: tensors may outlive static destructors.
Cache& cache() {
  static Cache* const instance = [] {
    auto* made = new Cache;
#if defined(__linux__)
    // A child of fork must not inherit the lock from a thread that it does not have.
    pthread_atfork([] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); },
                   [] { cache().mutex.unlock(); });
#endif
    return made;
  }();
  return *instance;
}

}  // namespace

void* allocate(std::size_t bytes) {
  if (bytes > kMaxBytes)
    fail(ErrorKind::memory, "[memory] expected at most ", kMaxBytes, " bytes, got ", bytes);
  if (bytes <= kPooledBytes) {
    if (void* const p = pool_take(bytes)) return p;
    fail(ErrorKind::memory, "[memory] the system has no ", bytes, " bytes; free other tensors");
  }
  const SizeClass wanted = size_class(bytes);
  if (kReuse) {
    Cache& c = cache();
    const std::lock_guard lock(c.mutex);
    auto& list = c.lists[wanted.index];
    if (!list.empty()) {
      void* p = list.back();
      list.pop_back();
      c.waiting -= wanted.bytes;
      return p;
    }
  }
  void* p = from_system(wanted.bytes);
  if (!p) {
    empty_cache();
    p = from_system(wanted.bytes);
  }
  if (!p)
    fail(ErrorKind::memory, "[memory] the system has no ", bytes,
         " bytes; use a smaller batch or free other tensors");
  return p;
}

void deallocate(void* p, std::size_t bytes) noexcept {
  if (!p) return;
  if (bytes <= kPooledBytes) return pool_give(p, bytes);
  const SizeClass its = size_class(bytes);
  if (kReuse) {
    Cache& c = cache();
    const std::lock_guard lock(c.mutex);
    if (c.waiting + its.bytes <= kMaxCached) {
      try {
        c.lists[its.index].push_back(p);
        c.waiting += its.bytes;
        return;
      } catch (const std::bad_alloc&) {  // no room for the list itself: give the block back
      }
    }
  }
  std::free(p);
}

std::size_t system_requests() noexcept { return requests.load(std::memory_order_relaxed); }

void empty_cache() noexcept {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  for (auto& list : c.lists) {
    for (void* p : list) std::free(p);
    list.clear();
  }
  c.waiting = 0;
}

}  // namespace ranvier
