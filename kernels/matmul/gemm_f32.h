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
  static constexpr std::int64_t kMostTiles = 16, kLeastTiles = 2;
  static constexpr std::int64_t kColumnElems = std::int64_t{4096} * 512;

  static std::int64_t packed_depth(std::int64_t depth) { return depth; }

  template <class T>
  RW_AVX2 static void pack_a(const GemmMatrix<T>& a, const GemmPart& part, float* to) {
    pack<kTileRows>(rows_of(a, part), to);
  }
  template <class T>
  RW_AVX2 static void pack_b(const GemmMatrix<T>& b, const GemmPart& part, float* to) {
    pack<kTileColumns>(columns_of(b, part), to);
  }

 private:
  /// Any number of lanes, panel by panel.
  template <std::int64_t kWidth, class T>
  RW_AVX2_INLINE static void pack(const PanelSource<T>& all, float* to) {
    if (all.lane_stride == 1) return pack_beside<kWidth>(all, to);
    PanelSource<T> source = all;
    for (std::int64_t lane = 0; lane < all.lanes; lane += kWidth, to += kWidth * all.depth) {
      source.from = all.from + lane * all.lane_stride;
      source.lanes = std::min(kWidth, all.lanes - lane);
      pack_panel<kWidth>(source, to);
    }
  }
  /// Lanes lie side by side: a panel alone would take a few numbers from every row, so that many are packed a
  /// few rows at a time, while the next rows are asked for.
  template <std::int64_t kWidth, class T>
  RW_AVX2_INLINE static void pack_beside(const PanelSource<T>& all, float* to) {
    constexpr std::int64_t kLanes = 48 * kWidth / std::int64_t{sizeof(T)}, kRowsAtOnce = 16;
    constexpr std::int64_t kLine = 64 / std::int64_t{sizeof(T)};
    PanelSource<T> source = all;
    for (std::int64_t first = 0; first < all.lanes; first += kLanes) {
      const std::int64_t end = std::min(all.lanes, first + kLanes);
      for (std::int64_t k = 0; k < all.depth; k += kRowsAtOnce) {
        const T* rows = all.from + k * all.depth_stride;
        const std::int64_t next = std::min(kRowsAtOnce, all.depth - k - kRowsAtOnce);
        for (std::int64_t i = 0; i < next; ++i) {
          const T* row = rows + (kRowsAtOnce + i) * all.depth_stride;
          for (std::int64_t lane = first; lane < end; lane += kLine) {
            _mm_prefetch(reinterpret_cast<const char*>(row + lane), _MM_HINT_T0);
          }
        }
        source.depth = std::min(kRowsAtOnce, all.depth - k);
        for (std::int64_t lane = first; lane < end; lane += kWidth) {
          source.from = rows + lane;
          source.lanes = std::min(kWidth, end - lane);
          pack_panel<kWidth>(source, to + lane * all.depth + k * kWidth);
        }
      }
    }
  }
};

/// A panel of b stays in the first-level cache.
struct Avx2Engine : F32Panels {
  static constexpr std::int64_t kRows = kTileRows, kColumns = kTileColumns;
  static constexpr std::int64_t kMostDepth = 512;

  template <class C>
  RW_AVX2 static void multiply(const GemmPart& part, const float* packed_a, const float* packed_b,
                               const GemmTarget<C>& into) {
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const float* b = packed_b + (column - part.column) * part.depth;
      const std::int64_t columns = std::min(kColumns, part.column_end - column);
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const std::int64_t rows = std::min(kRows, part.row_end - row);
        C* to = into.c + row * into.stride + column;
        into.prefetch(to, rows, columns);
        GemmTile tile;
        gemm_tile(packed_a + (row - part.row) * part.depth, b, part.depth, tile);
        store_tile(tile, to, into.stride, rows, columns, into.add);
      }
    }
  }
};

/// A panel of rows meets four of columns, which come from the second-level cache: the tile wants 256 bytes of them
/// for 24 multiply-adds.
struct Avx512Engine : F32Panels {
  static constexpr int kPanels = 4;
  static constexpr std::int64_t kRows = kTileRows, kColumns = kPanels * kTileColumns;
  static constexpr std::int64_t kMostDepth = 1024;

  template <class T>
  RW_AVX512 static void pack_a(const GemmMatrix<T>& a, const GemmPart& part, float* to) {
    if constexpr (sizeof(T) == sizeof(float)) {
      if (a.transpose == Transpose::kNo) return pack_rows(a, part, to);
    }
    F32Panels::pack_a(a, part, to);
  }

  template <class C>
  RW_AVX512 static void multiply(const GemmPart& part, const float* packed_a, const float* packed_b,
                                 const GemmTarget<C>& into) {
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const PanelsAt b{packed_b + (column - part.column) * part.depth, kTileColumns * part.depth};
      GemmPart at = part;
      at.column = column;
      all_rows(at, packed_a, b, into);
    }
  }

 private:
  /// While six rows are packed, the next six are asked for.
  RW_AVX512_INLINE static void pack_rows(const GemmMatrix<float>& a, const GemmPart& part,
                                         float* to) {
    for (std::int64_t row = part.row; row < part.row_end;
         row += kTileRows, to += kTileRows * part.depth) {
      GemmPart six = part;
      six.row = row;
      PanelSource<float> source = rows_of(a, six);
      source.lanes = std::min(kTileRows, source.lanes);
      std::int64_t k = 0;
      if (source.lanes == kTileRows) {
        for (; k + kTileColumns <= part.depth; k += kTileColumns) {
          turn6x16(source.from + k, a.stride, to + k * kTileRows);
          const float* next = source.from + kTileRows * a.stride + k;
          for (std::int64_t i = 0; i < kTileRows; ++i) __builtin_prefetch(next + i * a.stride);
        }
      }
      pack_slowly<kTileRows>(source, k, to);
    }
  }

  /// What begins at a column of c.
  template <class C>
  RW_AVX512_INLINE static void all_rows(const GemmPart& part, const float* packed_a,
                                        const PanelsAt& b, const GemmTarget<C>& into) {
    const std::int64_t columns = std::min(kColumns, part.column_end - part.column);
    with_panels((columns + kTileColumns - 1) / kTileColumns, [&](auto panels) RW_AVX512 {
      const float* a = packed_a;
      for (std::int64_t row = part.row; row < part.row_end; row += kRows, a += kRows * part.depth) {
        const std::int64_t rows = std::min(kRows, part.row_end - row);
        C* to = into.c + row * into.stride + part.column;
        into.prefetch(to, rows, columns);
        GemmTile512<decltype(panels)::value> tile;
        tile.clear();
        tile.add(0, a, b, part.depth);
        tile.store(to, into.stride, rows, columns, into.add);
      }
    });
  }
};

}  // namespace rw::kernels
