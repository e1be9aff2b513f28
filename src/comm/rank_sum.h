// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/wire.h"

namespace rw::comm {

/// What one rank brings to a sum: f32 numbers, or what a bf16 wire made of them. One of them is set.
struct RankPart {
  const float* f32 = nullptr;
  const std::uint16_t* bf16 = nullptr;
};

/// Writes part 0 + part 1 + … (f32, added in this order, element by element) of n numbers each to
/// all of `outs`, which may be the parts themselves. With Wire::kBF16 every part is rounded to bf16
/// before and the sum after, whoever adds. Every backend adds with this.
void sum_in_rank_order(std::span<const RankPart> parts, std::size_t n, std::span<float* const> outs,
                       Wire wire);

/// n numbers to bf16 (nearest, ties to even) and back.
void encode_bf16(const float* from, std::size_t n, std::uint16_t* to);
void decode_bf16(const std::uint16_t* from, std::size_t n, float* to);

}  // namespace rw::comm
