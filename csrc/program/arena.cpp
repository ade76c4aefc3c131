// Where temporary results live: see list.h. Largest first, each at the lowest place that is free
// during its life (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
// 2020, section 5.2).
#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/allocator.h"
#include "program/chain.h"

namespace ranvier {
namespace {

struct Block {
  Storage* storage;
  size_t first, last;  // instructions
  size_t bytes, offset;
};

void leave_to_arena(Storage& storage, void* memory) {
  deallocate(storage.data, storage.bytes);
  storage.data = memory;
  storage.release = [](void*) {};
}

size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::vector<Block> temporaries(MemoryUses& uses, const Chains& chains) {
  std::vector<Block> blocks;
  for (auto& [storage, use] : uses.all()) {
    if (use.made_by < 0 || use.kept || storage->bytes == 0 || storage->release) continue;
    const size_t bytes = chains.inside(*storage) ? 0 : rounded(storage->bytes);
    const Chain *const first = chains.at(use.first()), *const last = chains.at(use.last());
    blocks.push_back({storage, first ? first->first : use.first(),
                      last ? last->last - 1 : use.last(), bytes, 0});
  }
  // In an order that no address decides.
  std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.first < b.first;
  });
  return blocks;
}

// The lowest place beside those of `placed` that live at the same time.
size_t place_for(const Block& block, std::span<const Block> placed) {
  std::vector<std::pair<size_t, size_t>> taken;
  for (const Block& other : placed)
    if (other.first <= block.last && block.first <= other.last)
      taken.emplace_back(other.offset, other.offset + other.bytes);
  std::sort(taken.begin(), taken.end());
  size_t at = 0;
  for (const auto& [begin, end] : taken) {
    if (at + block.bytes <= begin) break;
    at = std::max(at, end);
  }
  return at;
}

size_t place_all(std::vector<Block>& blocks) {
  size_t bytes = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i].offset = place_for(blocks[i], {blocks.data(), i});
    bytes = std::max(bytes, blocks[i].offset + blocks[i].bytes);
  }
  return bytes;
}

}  // namespace

size_t Arena::bytes_for(MemoryUses& uses, const Chains& chains) {
  std::vector<Block> blocks = temporaries(uses, chains);
  return place_all(blocks);
}

Arena::Arena(MemoryUses& uses, const Chains& chains) {
  std::vector<Block> blocks = temporaries(uses, chains);
  bytes_ = place_all(blocks);
  if (bytes_ > 0) memory_ = allocate(bytes_);
  for (const Block& block : blocks)
    leave_to_arena(*block.storage,
                   block.bytes > 0 ? static_cast<char*>(memory_) + block.offset : nullptr);
}

std::ptrdiff_t Arena::offset_of(const Storage& storage) const {
  const auto at = reinterpret_cast<std::uintptr_t>(storage.data);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
  return at >= begin && at < begin + bytes_ ? static_cast<std::ptrdiff_t>(at - begin) : -1;
}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Arena::~Arena() { deallocate(memory_, bytes_); }

}  // namespace ranvier
