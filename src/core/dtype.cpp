// Part of Ropewalk, MIT licence.
#include "core/dtype.h"

#include <bit>
#include <cmath>

namespace rw::core {

const char* dtype_name(DType dtype) {
  constexpr const char* kNames[] = {"f32", "bf16", "f16", "i32", "i64", "u16", "u8", "f64"};
  return kNames[static_cast<int>(dtype)];
}

std::size_t dtype_bytes(DType dtype) {
  constexpr std::size_t kBytes[] = {4, 2, 2, 4, 8, 2, 1, 8};
  return kBytes[static_cast<int>(dtype)];
}

float f16_to_f32(std::uint16_t bits) {
  const float sign = (bits & 0x8000U) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) {
    return std::bit_cast<float>((std::uint32_t{bits & 0x8000U} << 16) | 0x7f800000U |
                                (static_cast<std::uint32_t>(mantissa) << 13));
  }
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

std::uint16_t f32_to_f16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000U);
  const std::uint32_t magnitude = u & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U)
    return static_cast<std::uint16_t>(sign | 0x7c00U);  // rounds to >= 65520
  if (magnitude < 0x38800000U) {                        // subnormal half: a multiple of 2^-24
    const float scaled = std::ldexp(std::bit_cast<float>(magnitude), 24);
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(scaled)));
  }
  const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

}  // namespace rw::core
