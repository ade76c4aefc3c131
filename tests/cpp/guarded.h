// Memory for tests of kernels: inputs that end where a page ends, so that a read past them stops
// the process, and outputs between sentinels.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace ranvier {

// Memory whose last byte is followed by a page that nobody may touch.
class Guarded {
 public:
  explicit Guarded(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (bytes + page - 1) / page * page + page;
    base_ = static_cast<char*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    mprotect(base_ + size_ - page, page, PROT_NONE);
    data_ = base_ + size_ - page - bytes;
  }
  ~Guarded() { munmap(base_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  template <class T>
  Guarded(const std::vector<T>& values, int64_t n) : Guarded(static_cast<size_t>(n) * sizeof(T)) {
    std::copy_n(values.begin(), n, reinterpret_cast<T*>(data_));
  }
  char* data() const { return data_; }

 private:
  char *base_, *data_;
  size_t size_;
};

inline constexpr unsigned char kSentinel = 0xc3;
inline constexpr size_t kZone = 128;  // bytes, wider than two vectors

// n elements between sentinels, `shift` elements off an aligned address.
template <class T>
class Output {
 public:
  Output(int64_t n, int64_t shift)
      : n_(n), bytes_(2 * kZone + 64 + static_cast<size_t>(n + shift) * sizeof(T), kSentinel) {
    const size_t start = (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64 + kZone;
    at_ = bytes_.data() + start + static_cast<size_t>(shift) * sizeof(T);
  }
  T* data() { return reinterpret_cast<T*>(at_); }
  bool untouched_around() const {
    const auto* end = at_ + static_cast<size_t>(n_) * sizeof(T);
    for (const unsigned char* p = bytes_.data(); p != bytes_.data() + bytes_.size(); ++p)
      if ((p < at_ || p >= end) && *p != kSentinel) return false;
    return true;
  }
  std::vector<T> values() { return {data(), data() + n_}; }

 private:
  int64_t n_;
  std::vector<unsigned char> bytes_;
  unsigned char* at_;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed, T low = -3, T high = 3) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<T> draw(low, high);
  std::vector<T> x(static_cast<size_t>(n));
  for (T& v : x) v = draw(random);
  return x;
}

}  // namespace ranvier
