// From a run-time dtype to a compile-time type, and conversions between element types that are
// defined for every value.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ranvier/tensor.h"

namespace ranvier {

// IEEE 754 binary16 and the upper half of binary32, as bits: nothing computes in them.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::float16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bfloat16;
};
template <class T>
inline constexpr bool is_half_v = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

template <class T>
struct Tag {
  using type = T;
};

// f(Tag<T>{}) for the element type of `dtype`, any that can be stored.
template <class F>
decltype(auto) visit_all(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f(Tag<float>{});
    case DType::float64:
      return f(Tag<double>{});
    case DType::float16:
      return f(Tag<Half>{});
    case DType::bfloat16:
      return f(Tag<BFloat16>{});
    case DType::int64:
      return f(Tag<int64_t>{});
    case DType::int32:
      return f(Tag<int32_t>{});
    case DType::int16:
      return f(Tag<int16_t>{});
    case DType::int8:
      return f(Tag<int8_t>{});
    case DType::uint8:
      return f(Tag<uint8_t>{});
    case DType::uint16:
      return f(Tag<uint16_t>{});
    case DType::uint32:
      return f(Tag<uint32_t>{});
    case DType::uint64:
      return f(Tag<uint64_t>{});
    case DType::bool_:
      break;
  }
  return f(Tag<bool>{});
}

// The types with arithmetic; the dispatcher lets no other one come to an op that calls this.
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
    case DType::int16:
      return f(Tag<int16_t>{});
    case DType::int8:
      return f(Tag<int8_t>{});
    case DType::uint8:
      return f(Tag<uint8_t>{});
    case DType::bool_:
      return f(Tag<bool>{});
    default:
      fail(ErrorKind::type, "[dtype] expected a dtype with arithmetic, got ", name_of(dtype));
  }
}

// An unsigned integer of `size` bytes: for code that moves elements and looks at none.
template <class F>
decltype(auto) visit_size(std::size_t size, F&& f) {
  if (size == 8) return f(Tag<uint64_t>{});
  if (size == 4) return f(Tag<uint32_t>{});
  if (size == 2) return f(Tag<uint16_t>{});
  return f(Tag<uint8_t>{});
}

// float32 or float64 only; the caller has checked.
template <class F>
decltype(auto) visit_floating(DType dtype, F&& f) {
  return dtype == DType::float32 ? f(Tag<float>{}) : f(Tag<double>{});
}

inline float to_float(Half h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16, rest = h.bits & 0x7fffu;
  if (rest >= 0x7c00u)  // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float small = static_cast<float>(rest) * 0x1p-24f;  // subnormal, exact
  return sign ? -small : small;
}
inline float to_float(BFloat16 b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b.bits) << 16);
}

// Nearest, ties to even.
inline Half to_half(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u)  // NaN stays one, whatever bits are cut off
    return {static_cast<uint16_t>(sign | 0x7e00u | (rest >> 13 & 0x3ffu))};
  if (rest >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and more
  if (rest < 0x38800000u) {
    // Subnormal: adding 0.5 brings the bits to where they belong, rounded by the addition.
    const auto sum = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f);
    return {static_cast<uint16_t>(sign | (sum - std::bit_cast<uint32_t>(0.5f)))};
  }
  const uint32_t odd = rest >> 13 & 1u;
  return {static_cast<uint16_t>(sign | ((rest - (112u << 23) + 0xfffu + odd) >> 13))};
}
inline BFloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

// float with the last bit set where digits were lost ("round to odd"): rounding once more, to a
// shorter type, then gives what rounding the double directly would give.
inline float to_odd_float(double x) {
  const auto near = static_cast<float>(x);
  if (static_cast<double>(near) == x || x != x || std::isinf(near)) return near;
  auto bits = std::bit_cast<uint32_t>(near);
  if (std::abs(static_cast<double>(near)) > std::abs(x)) --bits;  // towards zero
  return std::bit_cast<float>(bits | 1u);
}

// A plain cast of NaN or of a value out of range to an integer is undefined in C++; here int64 and
// int32 become the smallest integer, as on x86 and in NumPy, and smaller types wrap around from
// int64.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_half_v<From>) {
    return convert<To>(to_float(x));
  } else if constexpr (is_half_v<To>) {
    // float16 as in NumPy, rounded once; bfloat16 as in PyTorch, by way of float32.
    if constexpr (std::is_same_v<To, BFloat16>)
      return to_bfloat16(static_cast<float>(x));
    else if constexpr (std::is_same_v<From, double>)
      return to_half(to_odd_float(x));
    else
      return to_half(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    using Whole = std::conditional_t<std::is_same_v<To, int32_t>, int32_t, int64_t>;
    constexpr auto least = std::numeric_limits<Whole>::min();
    if constexpr (std::is_same_v<To, uint64_t>)
      if (x >= From(0x1p63) && x < From(0x1p64)) return static_cast<uint64_t>(x);
    const bool fits = x >= static_cast<From>(least) && x < -static_cast<From>(least);
    return static_cast<To>(fits ? static_cast<Whole>(x) : least);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace ranvier
