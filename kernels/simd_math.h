// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/build.h"
#include "core/dtype.h"

namespace rw::kernels {

/// exp(x) in f32 within 2 ulp, without a branch or a table, so that a loop over it vectorises.
/// Overflows to infinity, underflows through the subnormal numbers to 0; NaN stays NaN.
/// x = n·ln 2 + r, |r| <= ln 2 / 2 (ln 2 in two parts); exp(r) by a polynomial of degree 7; 2^n in
/// two factors, so that n = -149 … 128 all have a representation.
RW_ALWAYS_INLINE inline float fast_exp(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 · 2^23: adding it rounds to an integer
  x = x > 90.0F ? 90.0F : x;
  x = x < -105.0F ? -105.0F : x;
  const float shifted = x * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const std::int32_t k =
      __builtin_bit_cast(std::int32_t, shifted) - __builtin_bit_cast(std::int32_t, kRound);
  const std::int32_t half = k >> 1;
  const float first = __builtin_bit_cast(float, (half + 127) << 23);
  const float second = __builtin_bit_cast(float, (k - half + 127) << 23);
  return p * first * second;
}

/// to = x, in the other dtype to nearest even. Stores the bits: GCC 12 leaves a loop scalar that copies a BF16.
RW_ALWAYS_INLINE inline void put(float x, float& to) { to = x; }
RW_ALWAYS_INLINE inline void put(float x, core::BF16& to) { to.bits = core::BF16(x).bits; }

/// 1 / (1 + exp(-x)).
RW_ALWAYS_INLINE inline float fast_sigmoid(float x) { return 1.0F / (1.0F + fast_exp(-x)); }

}  // namespace rw::kernels
