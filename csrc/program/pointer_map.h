// A table by address for the few dozen tensors of a list, in the order in which they came: no
// result depends on where memory lies.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace ranvier {

template <class Key, class Value>
class PointerMap {
 public:
  struct Entry {
    Key* key;
    Value value;
  };

  // The value of a key, made where there was none.
  Value& operator[](Key* key) {
    if (4 * (entries_.size() + 1) > 3 * slots_.size()) grow();
    uint32_t& slot = slot_of(key);
    if (slot == kFree) {
      slot = static_cast<uint32_t>(entries_.size());
      entries_.push_back({key, Value()});
    }
    return entries_[slot].value;
  }
  // Null: there is none.
  const Value* find(const Key* key) const {
    if (entries_.empty()) return nullptr;
    const uint32_t slot = const_cast<PointerMap*>(this)->slot_of(key);
    return slot == kFree ? nullptr : &entries_[slot].value;
  }
  bool contains(const Key* key) const { return find(key) != nullptr; }
  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }

 private:
  static constexpr uint32_t kFree = ~uint32_t{0};

  uint32_t& slot_of(const Key* key) {
    const size_t mask = slots_.size() - 1;
    // Blocks of memory begin at multiples of 64; the product spreads what is above.
    size_t at = (reinterpret_cast<uintptr_t>(key) >> 6) * 0x9E3779B97F4A7C15u >> 20 & mask;
    while (slots_[at] != kFree && entries_[slots_[at]].key != key) at = (at + 1) & mask;
    return slots_[at];
  }
  void grow() {
    slots_.assign(slots_.empty() ? 128 : 2 * slots_.size(), kFree);
    entries_.reserve(slots_.size() / 2);
    for (size_t i = 0; i < entries_.size(); ++i)
      slot_of(entries_[i].key) = static_cast<uint32_t>(i);
  }

  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // places of entries; a power of two of them
};

}  // namespace ranvier
