// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

enum class Rotation : std::uint8_t {
  kForward,
  kBackward
};  // kBackward: by minus the angle (the gradient)

/// Rotary embedding in place, Hugging Face's half-split form: with x1 = x[i], x2 = x[i + Dh/2],
/// angle of (position, i): x1' = x1 cos − x2 sin, x2' = x2 cos + x1 sin. Applies to the first
/// `rotated_heads` heads of each row (queries and keys).
///
///   x          [N, width] f32 or bf16 (rotated in f32, rounded once), heads Dh wide
///   positions  [N] i32
///   cos, sin   [P, Dh/2] f32, P > every position (made by model/rope_table)
void rope(Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin,
          std::int64_t rotated_heads, Rotation rotation, Stream& stream);

}  // namespace rw::kernels
