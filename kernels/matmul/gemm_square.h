// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/gemm_bf16_pack.h"
#include "kernels/matmul/matmul.h"

namespace rw::kernels {

/// Where a sum of 32 x 32 lies: four quarters of sixteen rows, `stride` floats apart; the lower ones begin
/// `lower` floats behind the upper ones, the right ones `right` behind the left ones. The memory is the caller's.
struct SquareSums {
  float* data = nullptr;
  std::int64_t stride = 0, lower = 0, right = 0;
};

/// What a square asks for while it is multiplied, a few lines with every 32 of depth (a burst in front of the
/// tile holds its operands up, and so do loops of unknown length): the rows of c that its sums go to, and its
/// share of the next panel of b.
template <int kRowsAtOnce, int kLinesAtOnce>
struct SquareAhead {
  const char* row = nullptr;  // of c
  std::int64_t stride = 0, rows = 0;
  const char* line = nullptr;  // of b

  RW_BF16_INLINE void step() {
    if (rows > 0) {
#pragma GCC unroll 2
      for (int i = 0; i < kRowsAtOnce; ++i, row += stride) {
        _mm_prefetch(row, _MM_HINT_T0);
        _mm_prefetch(row + 64, _MM_HINT_T0);
      }
      rows -= kRowsAtOnce;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLinesAtOnce; ++i, line += 64) _mm_prefetch(line, _MM_HINT_T1);
  }
};
struct NothingAhead {
  void step() {}
};

}  // namespace rw::kernels
