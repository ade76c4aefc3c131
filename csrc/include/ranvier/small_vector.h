// A vector that keeps its first N elements in itself, so that the short lists of an op call
// (tensors, attributes, shapes) ask for no memory. The interface is the part of std::vector's
// that these lists use.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <utility>

namespace ranvier {

template <class T, std::size_t N>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  explicit SmallVector(std::size_t count) { resize(count); }
  SmallVector(std::size_t count, const T& value) { resize(count, value); }
  SmallVector(std::initializer_list<T> values) : SmallVector(values.begin(), values.end()) {}
  template <std::forward_iterator It>
  SmallVector(It first, It last) {
    reserve(static_cast<std::size_t>(std::distance(first, last)));
    for (; first != last; ++first) emplace_back(*first);
  }
  SmallVector(const SmallVector& other) : SmallVector(other.begin(), other.end()) {}
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) *this = SmallVector(other);
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this == &other) return *this;
    discard();
    take(other);
    return *this;
  }
  ~SmallVector() { discard(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    T* const fresh = std::allocator<T>().allocate(capacity);
    std::uninitialized_move(begin(), end(), fresh);
    std::destroy(begin(), end());
    give_back();
    data_ = fresh;
    capacity_ = capacity;
  }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ < capacity_) return *new (data_ + size_++) T(std::forward<Args>(args)...);
    T value(std::forward<Args>(args)...);  // the arguments may lie in the memory that goes
    reserve(2 * capacity_);
    return *new (data_ + size_++) T(std::move(value));
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  void pop_back() { std::destroy_at(data_ + --size_); }
  void clear() { shrink(0); }
  void resize(std::size_t count) {
    reserve(count);
    while (size_ < count) emplace_back();
    shrink(count);
  }
  void resize(std::size_t count, const T& value) {
    reserve(count);
    while (size_ < count) emplace_back(value);
    shrink(count);
  }

 private:
  T* inline_data() { return reinterpret_cast<T*>(inline_); }
  void shrink(std::size_t count) {
    while (size_ > count) pop_back();
  }
  void give_back() {
    if (data_ != inline_data()) std::allocator<T>().deallocate(data_, capacity_);
  }
  void discard() {
    std::destroy(begin(), end());
    give_back();
    data_ = inline_data();
    size_ = 0;
    capacity_ = N;
  }
  // Leaves `other` empty; this one is empty and inline before.
  void take(SmallVector& other) noexcept {
    if (other.data_ != other.inline_data()) {
      data_ = std::exchange(other.data_, other.inline_data());
      size_ = std::exchange(other.size_, 0);
      capacity_ = std::exchange(other.capacity_, N);
      return;
    }
    std::uninitialized_move(other.begin(), other.end(), data_);
    size_ = other.size_;
    other.clear();
  }

  alignas(T) unsigned char inline_[N * sizeof(T)];
  T* data_ = inline_data();
  std::size_t size_ = 0, capacity_ = N;
};

}  // namespace ranvier
