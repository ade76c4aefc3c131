// From a run-time dtype to a compile-time type, and conversions between element types that are
// defined for every value.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ranvier/tensor.h"

namespace ranvier {

template <class T>
struct Tag {
  using type = T;
};

// f(Tag<T>{}) for the element type of `dtype`.
template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f(Tag<float>{});
    case DType::float64:
      return f(Tag<double>{});
    case DType::int64:
      return f(Tag<int64_t>{});
    case DType::int32:
      return f(Tag<int32_t>{});
    case DType::uint8:
      return f(Tag<uint8_t>{});
    case DType::bool_:
      break;
  }
  return f(Tag<bool>{});
}

// float32 or float64 only; the caller has checked.
template <class F>
decltype(auto) visit_floating(DType dtype, F&& f) {
  return dtype == DType::float32 ? f(Tag<float>{}) : f(Tag<double>{});
}

// A plain cast of NaN or of a value out of range to an integer is undefined in C++; here int64 and
// int32 become the smallest integer, as on x86 and in NumPy, and uint8 wraps around from int64.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    using Whole = std::conditional_t<std::is_same_v<To, int32_t>, int32_t, int64_t>;
    constexpr auto least = std::numeric_limits<Whole>::min();
    const bool fits = x >= static_cast<From>(least) && x < -static_cast<From>(least);
    return static_cast<To>(fits ? static_cast<Whole>(x) : least);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace ranvier
