// A matrix product with its right answer, for tests: every element by std::fma over k.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace ranvier {

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<T> draw;
  std::vector<T> x(static_cast<size_t>(n));
  for (T& v : x) v = draw(random);
  return x;
}

// A (m, k) and B (k, n) row-major, and the chains of C.
template <class T>
struct Problem {
  int64_t m, n, k;
  std::vector<T> a, b, start;
  Problem(int64_t rows, int64_t cols, int64_t depth)
      : m(rows),
        n(cols),
        k(depth),
        a(numbers<T>(m * k, 1)),
        b(numbers<T>(k * n, 2)),
        start(numbers<T>(m * n, 3)) {}

  std::vector<T> chains(bool fused, bool accumulate) const {
    std::vector<T> c = accumulate ? start : std::vector<T>(size_t(m * n), T(0));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) {
        const T x = a[size_t(i * k + p)];
        const T* row = b.data() + p * n;
        T* to = c.data() + i * n;
        if (fused)
          for (int64_t j = 0; j < n; ++j) to[j] = std::fma(x, row[j], to[j]);
        else
          for (int64_t j = 0; j < n; ++j) {
            const T product = x * row[j];
            to[j] = to[j] + product;
          }
      }
    return c;
  }
};

// The matrix with its elements `row` and `col` apart, junk between them.
template <class T>
std::vector<T> spread(const std::vector<T>& x, int64_t rows, int64_t cols, int64_t row,
                      int64_t col) {
  std::vector<T> out(size_t(std::max<int64_t>((rows - 1) * row + (cols - 1) * col + 1, 1)),
                     T(12345));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) out[size_t(i * row + j * col)] = x[size_t(i * cols + j)];
  return out;
}

enum class Layout { normal, transposed, padded, strided };
constexpr Layout kLayouts[] = {Layout::normal, Layout::transposed, Layout::padded, Layout::strided};

inline std::pair<int64_t, int64_t> strides_of(Layout layout, int64_t rows, int64_t cols) {
  switch (layout) {
    case Layout::normal:
      return {std::max<int64_t>(cols, 1), 1};
    case Layout::transposed:
      return {1, std::max<int64_t>(rows, 1)};
    case Layout::padded:
      return {cols + 3, 1};
    case Layout::strided:
      break;
  }
  return {2 * cols + 1, 2};
}

}  // namespace ranvier
