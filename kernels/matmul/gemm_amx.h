// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/gemm_square.h"

namespace rw::kernels {

/// Eight tile registers of 16 rows of 64 bytes, in the layout of LDTILECFG.
struct alignas(64) AmxTileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
inline constexpr AmxTileConfig kAmxTileConfig;

/// Squares of sums on tile registers (AMX-BF16), from panels as Bf16Pack<T> packs them. A tile register holds 16 rows
/// of 64 bytes. As an operand on the left: sixteen rows of a, 32 deep; on the right: sixteen pairs of k for
/// sixteen columns of b; as a sum: 16 x 16 numbers in f32. A square is 2 x 2 of these, so that each of four
/// operands is used twice.
///
/// f32 operands are multiplied plane by plane: six products of nine; those left out are below 2^-26 of each term,
/// a quarter of what f32 rounds away.
template <class T>
struct AmxSquare {
  using Pack = Bf16Pack<T>;

  /// Before the first product on a thread, and after the last.
  RW_BF16_INLINE static void begin() { _tile_loadconfig(&kAmxTileConfig); }
  RW_BF16_INLINE static void end() { _tile_release(); }

  /// sums [32, 32] = panels a · b, or += them; depth as packed (planes count).
  template <Accumulate kAdd, class NextLines = NothingAhead>
  RW_BF16_INLINE static void multiply(const core::BF16* a, const core::BF16* b, std::int64_t depth,
                                      const SquareSums& sums, NextLines ahead = {}) {
    const std::int64_t bytes = sums.stride * 4;
    float* lower = sums.data + sums.lower;
    if constexpr (kAdd == Accumulate::kYes) {
      _tile_loadd(0, sums.data, bytes);
      _tile_loadd(1, sums.data + sums.right, bytes);
      _tile_loadd(2, lower, bytes);
      _tile_loadd(3, lower + sums.right, bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    const core::BF16* end = a + depth * Pack::kLanes;
    for (; a != end; a += Pack::kStep, b += Pack::kStep) {
      ahead.step();
      if constexpr (Pack::kPlanes == 1) {
        add_step(a, b);
      } else {
        add_planes(a, b);
      }
    }
    _tile_stored(0, sums.data, bytes);
    _tile_stored(1, sums.data + sums.right, bytes);
    _tile_stored(2, lower, bytes);
    _tile_stored(3, lower + sums.right, bytes);
  }

 private:
  static constexpr int kTileBytes = 64;
  static constexpr std::int64_t kPlane = 2 * Pack::kHalf;

  RW_BF16_INLINE static void load_left(const core::BF16* a) {
    _tile_loadd(4, a, kTileBytes);
    _tile_loadd(5, a + Pack::kHalf, kTileBytes);
  }
  RW_BF16_INLINE static void load_right(const core::BF16* b) {
    _tile_loadd(6, b, kTileBytes);
    _tile_loadd(7, b + Pack::kHalf, kTileBytes);
  }
  RW_BF16_INLINE static void add_loaded() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  RW_BF16_INLINE static void add_step(const core::BF16* a, const core::BF16* b) {
    load_left(a);
    load_right(b);
    add_loaded();
  }
  /// Each product but the last shares a plane with the one before it.
  RW_BF16_INLINE static void add_planes(const core::BF16* a, const core::BF16* b) {
    load_left(a + 2 * kPlane);
    load_right(b);
    add_loaded();
    load_left(a + kPlane);
    add_loaded();
    load_right(b + kPlane);
    add_loaded();
    load_left(a);
    add_loaded();
    load_right(b + 2 * kPlane);
    add_loaded();
    load_right(b);
    add_loaded();
  }
};

}  // namespace rw::kernels
