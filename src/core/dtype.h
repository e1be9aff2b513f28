// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/build.h"
#include "core/error.h"

namespace rw::core {

enum class DType : std::uint8_t { kF32, kBF16, kF16, kI32, kI64, kU16, kU8, kF64 };

/// "f32", "bf16", …
const char* dtype_name(DType dtype);
std::size_t dtype_bytes(DType dtype);

/// bfloat16: the upper half of an f32. Rounds to nearest, ties to even; NaN stays NaN.
struct BF16 {
  std::uint16_t bits = 0;
  BF16() = default;
  RW_HOST_DEVICE RW_ALWAYS_INLINE explicit BF16(float x)
      : bits(round(__builtin_bit_cast(std::uint32_t, x))) {}
  RW_HOST_DEVICE RW_ALWAYS_INLINE explicit operator float() const {
    return __builtin_bit_cast(float, std::uint32_t{bits} << 16);
  }
  RW_HOST_DEVICE RW_ALWAYS_INLINE static std::uint16_t round(std::uint32_t u) {
    if ((u & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((u >> 16) | 0x40U);
    return static_cast<std::uint16_t>((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
  }
};

/// IEEE half precision, for reading and writing model files; no kernel computes in it on the CPU.
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float x);  // nearest, ties to even; overflow gives infinity

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls fn(TypeTag<float>) or fn(TypeTag<BF16>); any other dtype is Error{kShape}.
template <class Fn>
decltype(auto) visit_float(DType dtype, Fn&& fn) {
  if (dtype == DType::kF32) return fn(TypeTag<float>{});
  if (dtype == DType::kBF16) return fn(TypeTag<BF16>{});
  throw Error(ErrorKind::kShape,
              std::string("got dtype ") + dtype_name(dtype) + ", want f32 or bf16");
}

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kF64;
}
template <>
constexpr DType dtype_of<BF16>() {
  return DType::kBF16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::kI32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::kI64;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return DType::kU16;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::kU8;
}

}  // namespace rw::core
