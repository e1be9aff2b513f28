// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/gemm_tile.h"
#include "kernels/matmul/gemm_tile512.h"
#include "kernels/matmul/gemm_worker.h"

namespace rw::kernels {

/// What the engines with f32 panels share: a in panels of six rows, b in panels of sixteen columns.
struct F32Panels {
  using Packed = float;
  static constexpr std::int64_t kGrain = 4;
  // A block of a stays in the second-level cache, all of b's block in the third.
  static constexpr std::int64_t kMostDepth = 512;
  static constexpr std::int64_t kColumnElems = std::int64_t{4096} * 512;

  static std::int64_t packed_depth(std::int64_t depth) { return depth; }

  /// Turned, six numbers of a row of a are all that a panel takes from it: then all panels are packed
  /// a few rows at a time, so that whole cache lines are used up while they are near.
  template <class T>
  RW_AVX2 static void pack_a(const GemmMatrix<T>& a, const GemmPart& part, float* to) {
    constexpr std::int64_t kTurnedRows = 16;
    PanelSource<T> source;
    const bool turned = a.transpose == Transpose::kYes;
    source.lane_stride = turned ? 1 : a.stride;
    source.depth_stride = turned ? a.stride : 1;
    const std::int64_t step = turned ? kTurnedRows : part.depth;
    for (std::int64_t k = 0; k < part.depth; k += step) {
      source.depth = std::min(step, part.depth - k);
      for (std::int64_t row = part.row; row < part.row_end; row += kTileRows) {
        source.from = a.data + row * source.lane_stride + (part.k + k) * source.depth_stride;
        source.lanes = std::min(kTileRows, part.row_end - row);
        pack_panel<kTileRows>(source, to + (row - part.row) * part.depth + k * kTileRows);
      }
    }
  }

  template <class T>
  RW_AVX2 static void pack_b(const GemmMatrix<T>& b, const GemmPart& part, float* to) {
    PanelSource<T> source;
    const bool turned = b.transpose == Transpose::kYes;
    source.lane_stride = turned ? b.stride : 1;
    source.depth_stride = turned ? 1 : b.stride;
    source.depth = part.depth;
    for (std::int64_t column = part.column; column < part.column_end;
         column += kTileColumns, to += kTileColumns * part.depth) {
      source.from = b.data + column * source.lane_stride + part.k * source.depth_stride;
      source.lanes = std::min(kTileColumns, part.column_end - column);
      pack_panel<kTileColumns>(source, to);
    }
  }
};

/// A panel of b stays in the first-level cache.
struct Avx2Engine : F32Panels {
  static constexpr std::int64_t kRows = kTileRows, kColumns = kTileColumns;
  static constexpr std::int64_t kMostTiles = 16, kLeastTiles = 2;

  template <class C>
  RW_AVX2 static void multiply(const GemmPart& part, const float* packed_a, const float* packed_b,
                               const GemmTarget<C>& into) {
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const float* b = packed_b + (column - part.column) * part.depth;
      const std::int64_t columns = std::min(kColumns, part.column_end - column);
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const std::int64_t rows = std::min(kRows, part.row_end - row);
        C* to = into.c + row * into.stride + column;
        for (std::int64_t i = 0; i < rows; ++i) {
          _mm_prefetch(reinterpret_cast<const char*>(to + i * into.stride), _MM_HINT_T0);
          _mm_prefetch(reinterpret_cast<const char*>(to + i * into.stride + columns - 1),
                       _MM_HINT_T0);
        }
        GemmTile tile;
        gemm_tile(packed_a + (row - part.row) * part.depth, b, part.depth, tile);
        store_tile(tile, to, into.stride, rows, columns, into.add);
      }
    }
  }
};

/// Two panels of rows meet two of columns; those of columns come from the second-level cache.
struct Avx512Engine : F32Panels {
  static constexpr std::int64_t kRows = 2 * kTileRows, kColumns = 2 * kTileColumns;
  static constexpr std::int64_t kMostTiles = 8, kLeastTiles = 1;

  template <class C>
  RW_AVX512 static void multiply(const GemmPart& part, const float* packed_a, const float* packed_b,
                                 const GemmTarget<C>& into) {
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const float* b = packed_b + (column - part.column) * part.depth;
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const float* a = packed_a + (row - part.row) * part.depth;
        const bool one_row = part.row_end - row <= kTileRows;
        const bool one_column = part.column_end - column <= kTileColumns;
        GemmPart at = part;
        at.row = row;
        at.column = column;
        if (one_row && one_column) {
          tile<1, 1>(at, a, b, into);
        } else if (one_row) {
          tile<1, 2>(at, a, b, into);
        } else if (one_column) {
          tile<2, 1>(at, a, b, into);
        } else {
          tile<2, 2>(at, a, b, into);
        }
      }
    }
  }

 private:
  /// What begins at a row and a column of c.
  template <int kRowPanels, int kColumnPanels, class C>
  RW_AVX512_INLINE static void tile(const GemmPart& at, const float* a, const float* b,
                                    const GemmTarget<C>& into) {
    const std::int64_t rows = std::min(kRows, at.row_end - at.row);
    const std::int64_t columns = std::min(kColumns, at.column_end - at.column);
    C* to = into.c + at.row * into.stride + at.column;
    for (std::int64_t i = 0; i < rows; ++i) {
      _mm_prefetch(reinterpret_cast<const char*>(to + i * into.stride), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(to + i * into.stride + columns - 1), _MM_HINT_T0);
    }
    GemmTile512<kRowPanels, kColumnPanels> tile;
    tile.multiply({a, kTileRows * at.depth}, {b, kTileColumns * at.depth}, at.depth);
    tile.store(to, into.stride, rows, columns, into.add);
  }
};

}  // namespace rw::kernels
