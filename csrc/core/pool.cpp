// Lists of free blocks, one set a thread; see pool.h.
#include "core/pool.h"

#include <cstdlib>
#include <new>

#include "core/allocator.h"

namespace ranvier {
namespace {

constexpr std::size_t kClasses = kPooledBytes / kAlignment;
constexpr int kMaxWaiting = 256;  // blocks a class and thread

struct Block {
  Block* next;
};

// Plain data: objects may be freed while a thread ends, after its other variables are gone.
struct Lists {
  Block* first[kClasses + 1];
  int count[kClasses + 1];
  bool closed;
};
thread_local Lists lists;

// Gives everything back when the thread ends.
struct Closer {
  ~Closer() {
    lists.closed = true;
    for (std::size_t c = 0; c <= kClasses; ++c)
      while (Block* const block = lists.first[c]) {
        lists.first[c] = block->next;
        std::free(block);
      }
  }
};

std::size_t class_of(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment; }

}  // namespace

void* pool_take(std::size_t bytes) {
  const std::size_t c = bytes == 0 ? 1 : class_of(bytes);
  if (c <= kClasses)
    if (Block* const block = lists.first[c]) {
      lists.first[c] = block->next;
      --lists.count[c];
      return block;
    }
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, c * kAlignment) == 0 ? block : nullptr;
}

void pool_give(void* block, std::size_t bytes) noexcept {
  if (!block) return;
  thread_local const Closer closer;
  static_cast<void>(closer);
  const std::size_t c = bytes == 0 ? 1 : class_of(bytes);
  if (!kReuse || c > kClasses || lists.closed || lists.count[c] >= kMaxWaiting) {
    std::free(block);
    return;
  }
  lists.first[c] = new (block) Block{lists.first[c]};
  ++lists.count[c];
}

void* pool_new(std::size_t bytes) {
  if (void* const block = pool_take(bytes)) return block;
  throw std::bad_alloc();
}

}  // namespace ranvier
