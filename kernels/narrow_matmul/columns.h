// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rw::kernels {

/// y [rows, n] = x [rows, k] · wᵀ, w [n, k] contiguous. Every sum has one order that depends on k
/// and on the instruction set alone: a row of y has the same bits whatever rows stand beside it,
/// whichever thread computes it, and the same for bf16 weights as for f32 weights of equal value.
struct NarrowProduct {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  std::int64_t rows = 0;
  const void* w = nullptr;  // f32 or bf16
  std::int64_t k = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  /// What this thread reads after its columns: fetched when they end.
  const void* after = nullptr;
  /// As large as w and read after it: fetched in place of w's own columns.
  const void* instead = nullptr;
};

/// Threads take columns in multiples of this: whole cache lines of y.
inline constexpr std::int64_t kNarrowGrain = 16;

/// What one instruction set provides; all of it runs on the calling thread.
struct NarrowLoops {
  /// Columns [begin, end) of y; w comes from memory once, in order. For f32 and for bf16 weights.
  void (*columns_f32)(const NarrowProduct& by, std::int64_t begin, std::int64_t end);
  void (*columns_bf16)(const NarrowProduct& by, std::int64_t begin, std::int64_t end);
  /// out [width] = Σ over t of p[t] · v[t], v [rows, width]: one row times a matrix. `next`: as large as v,
  /// fetched while v is read; may be v.
  void (*weighted_rows_f32)(const float* p, const float* v, std::int64_t rows, std::int64_t width,
                            float* out, const float* next);
  void (*weighted_rows_bf16)(const float* p, const core::BF16* v, std::int64_t rows,
                             std::int64_t width, float* out, const core::BF16* next);
  void columns(core::DType weight, const NarrowProduct& by, std::int64_t begin,
               std::int64_t end) const {
    (weight == core::DType::kBF16 ? columns_bf16 : columns_f32)(by, begin, end);
  }
  void weighted_rows(const float* p, const float* v, std::int64_t rows, std::int64_t width,
                     float* out, const float* next) const {
    weighted_rows_f32(p, v, rows, width, out, next);
  }
  void weighted_rows(const float* p, const core::BF16* v, std::int64_t rows, std::int64_t width,
                     float* out, const core::BF16* next) const {
    weighted_rows_bf16(p, v, rows, width, out, next);
  }
};

/// The fastest set that this CPU has.
const NarrowLoops& narrow_loops();

extern const NarrowLoops kNarrowBaseline;
extern const NarrowLoops kNarrowAvx2;
extern const NarrowLoops kNarrowAvx512;

}  // namespace rw::kernels
