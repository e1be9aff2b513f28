// Part of Ropewalk, MIT licence.
#include "comm/rank_sum.h"

#include <algorithm>
#include <array>
#include <bit>

#include "core/dtype.h"

namespace rw::comm {
namespace {

constexpr std::size_t kBlock = 2048;  // stays in the first-level cache
using Block = std::array<float, kBlock>;

float rounded(float x) { return static_cast<float>(core::BF16(x)); }

/// Numbers [at, at + n) of a part as they are added.
void fetch(const RankPart& part, std::size_t at, std::size_t n, Wire wire, float* to) {
  if (part.bf16 != nullptr) {
    decode_bf16(part.bf16 + at, n, to);
  } else if (wire == Wire::kBF16) {
    for (std::size_t i = 0; i < n; ++i) to[i] = rounded(part.f32[at + i]);
  } else {
    std::copy_n(part.f32 + at, n, to);
  }
}

void add(const float* from, std::size_t n, float* to) {
  for (std::size_t i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

void encode_bf16(const float* from, std::size_t n, std::uint16_t* to) {
  for (std::size_t i = 0; i < n; ++i) to[i] = core::BF16(from[i]).bits;
}

void decode_bf16(const std::uint16_t* from, std::size_t n, float* to) {
  for (std::size_t i = 0; i < n; ++i) to[i] = std::bit_cast<float>(std::uint32_t{from[i]} << 16);
}

void sum_in_rank_order(std::span<const RankPart> parts, std::size_t n, std::span<float* const> outs,
                       Wire wire) {
  Block sum{};
  Block next{};
  for (std::size_t at = 0; at < n; at += kBlock) {
    const std::size_t count = std::min(kBlock, n - at);
    fetch(parts[0], at, count, wire, sum.data());
    for (const RankPart& part : parts.subspan(1)) {
      if (part.f32 != nullptr && wire == Wire::kF32) {
        add(part.f32 + at, count, sum.data());
        continue;
      }
      fetch(part, at, count, wire, next.data());
      add(next.data(), count, sum.data());
    }
    if (wire == Wire::kBF16) {
      for (std::size_t i = 0; i < count; ++i) sum[i] = rounded(sum[i]);
    }
    for (float* out : outs) std::copy_n(sum.data(), count, out + at);
  }
}

}  // namespace rw::comm
