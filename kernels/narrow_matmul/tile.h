// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "kernels/narrow_matmul/columns.h"

/// The loops of columns.h for one instruction set. Each file that includes this one is compiled with
/// other compiler options, and everything here is local to it, so that the linker cannot mix them.
namespace rw::kernels {
namespace {

/// k is cut into pieces of this length whose sums are added up in order: what 4 rows of x and a tile's
/// of w hold of a piece stays in the first-level cache.
constexpr std::int64_t kPiece = 1024;

template <int kLanes>
struct Vectors;
template <>
struct Vectors<4> {
  using Float [[gnu::vector_size(16)]] = float;
  using Word [[gnu::vector_size(16)]] = std::uint32_t;
  using Half [[gnu::vector_size(8)]] = std::uint16_t;
};
template <>
struct Vectors<8> {
  using Float [[gnu::vector_size(32)]] = float;
  using Word [[gnu::vector_size(32)]] = std::uint32_t;
  using Half [[gnu::vector_size(16)]] = std::uint16_t;
};
template <>
struct Vectors<16> {
  using Float [[gnu::vector_size(64)]] = float;
  using Word [[gnu::vector_size(64)]] = std::uint32_t;
  using Half [[gnu::vector_size(32)]] = std::uint16_t;
};
template <int kLanes>
using Float = typename Vectors<kLanes>::Float;

template <int kLanes>
[[gnu::always_inline]] inline void load(const float* from, Float<kLanes>& to) {
  __builtin_memcpy(&to, from, sizeof to);
}
template <int kLanes>
[[gnu::always_inline]] inline void load(const core::BF16* from, Float<kLanes>& to) {
  typename Vectors<kLanes>::Half half;
  __builtin_memcpy(&half, from, sizeof half);
  using Word = typename Vectors<kLanes>::Word;
  to = reinterpret_cast<Float<kLanes>>(__builtin_convertvector(half, Word) << 16);
}
/// The first `count` lanes; zeros behind them.
template <int kLanes, class T>
[[gnu::always_inline]] inline void load_some(const T* from, std::int64_t count, Float<kLanes>& to) {
  T part[kLanes] = {};
  for (std::int64_t j = 0; j < count; ++j) part[j] = from[j];
  load<kLanes>(part, to);
}

/// out[j] = the sum of sums[j]'s lanes, j < 4: neighbours first, one order for every j.
[[gnu::always_inline]] inline void add_lanes(const Float<4>* sums, float* out) {
  const Float<4> a = __builtin_shufflevector(sums[0], sums[1], 0, 2, 4, 6) +
                     __builtin_shufflevector(sums[0], sums[1], 1, 3, 5, 7);
  const Float<4> b = __builtin_shufflevector(sums[2], sums[3], 0, 2, 4, 6) +
                     __builtin_shufflevector(sums[2], sums[3], 1, 3, 5, 7);
  const Float<4> total =
      __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  __builtin_memcpy(out, &total, sizeof total);
}
[[gnu::always_inline]] inline void add_neighbours(const Float<8>& a, const Float<8>& b,
                                                  Float<8>& out) {
  out = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
        __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}
[[gnu::always_inline]] inline void add_lanes(const Float<8>* sums, float* out) {
  Float<8> pairs[2];
  add_neighbours(sums[0], sums[1], pairs[0]);
  add_neighbours(sums[2], sums[3], pairs[1]);
  Float<8> both;
  add_neighbours(pairs[0], pairs[1], both);
  const Float<4> total = __builtin_shufflevector(both, both, 0, 1, 2, 3) +
                         __builtin_shufflevector(both, both, 4, 5, 6, 7);
  __builtin_memcpy(out, &total, sizeof total);
}
[[gnu::always_inline]] inline void add_lanes(const Float<16>* sums, float* out) {
  Float<8> halves[4];
  for (int j = 0; j < 4; ++j) {
    halves[j] = __builtin_shufflevector(sums[j], sums[j], 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(sums[j], sums[j], 8, 9, 10, 11, 12, 13, 14, 15);
  }
  add_lanes(halves, out);
}

/// Rows of x and of w that meet in one tile: their sums stay in registers.
template <class W, class Later, int kColumns>
struct Operands {
  const float* x;
  std::int64_t x_stride;
  const W* w[kColumns];
  const Later* later;  // of as many elements as the tile has, that are read later, one kShare-th
};

/// One row meets each element of a matrix once: nothing is waited for but memory. kCache of ask_for(): with
/// AVX-512 it comes faster through the second level (docs/performance.md, Decoding).
template <int kLanes>
inline constexpr int kCacheOfOneRow = kLanes == 16 ? 2 : 3;

/// Memory is asked for as it lies: rows beside each other are more than the prefetchers of the hardware
/// follow. kCache: 3 into the first-level cache, 2 into the second.
template <int kCount, int kCache, class W>
[[gnu::always_inline]] inline void ask_for(const W* first) {
  constexpr std::int64_t kLine = 64 / sizeof(W);
#pragma GCC unroll 8
  for (std::int64_t i = 0; i < kCount; i += kLine) __builtin_prefetch(first + i, 0, kCache);
}

/// out[r · kColumns + c] = Σ over [0, k) of x[r] · w[c]. Each sum's order depends on k alone.
template <int kLanes, int kRows, int kShare, class W, class Later, int kColumns>
[[gnu::always_inline]] inline void tile(const Operands<W, Later, kColumns>& at, std::int64_t k,
                                        float* out) {
  constexpr int kOuts = kRows * kColumns;
  constexpr int kPadded = (kOuts + 3) / 4 * 4;
  constexpr int kCache = kRows == 1 ? kCacheOfOneRow<kLanes> : 3;
  Float<kLanes> sums[kPadded] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    Float<kLanes> rows[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) load<kLanes>(at.x + r * at.x_stride + i, rows[r]);
    if constexpr (kColumns > 1) {  // memory comes faster to one column without
      ask_for<kLanes * kColumns / kShare, kCache>(at.later + i * kColumns / kShare);
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      Float<kLanes> column;
      load<kLanes>(at.w[c] + i, column);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sums[r * kColumns + c] += rows[r] * column;
    }
  }
  if (i < k) {  // the last lanes as the others, so that every variant of the tile rounds alike
    for (int c = 0; c < kColumns; ++c) {
      Float<kLanes> column;
      load_some<kLanes>(at.w[c] + i, k - i, column);
      for (int r = 0; r < kRows; ++r) {
        Float<kLanes> row;
        load_some<kLanes>(at.x + r * at.x_stride + i, k - i, row);
        sums[r * kColumns + c] += row * column;
      }
    }
  }
  float totals[kPadded];
#pragma GCC unroll 8
  for (int j = 0; j < kPadded; j += 4) add_lanes(sums + j, totals + j);
  for (int j = 0; j < kOuts; ++j) out[j] = totals[j];
}

/// One piece of the columns [n, n + kColumns) that lie before `end`.
template <class W, class Later>
struct Strip {
  const W* w;  // this piece of column `first`; the next columns `stride` apart
  std::int64_t first, stride, n, end, piece;
  const Later* later;  // what is read when these columns are done with
};

[[gnu::always_inline]] inline std::int64_t piece_width(const NarrowProduct& by,
                                                       std::int64_t piece) {
  return by.k - piece < kPiece ? by.k - piece : kPiece;
}

/// kRows rows from `row` on. Rows 4 · i to 4 · i + 3 ask for the i-th of kShare parts of what is read later:
/// asked for at once it would keep them waiting, and the rows behind them would leave memory idle.
template <int kLanes, int kRows, int kColumns, int kShare, class W, class Later>
[[gnu::always_inline]] inline void tile_to(const NarrowProduct& by, std::int64_t row,
                                           const Strip<W, Later>& strip) {
  const auto [w, first, stride, n, end, piece, later] = strip;
  const std::int64_t width = piece_width(by, piece);
  Operands<W, Later, kColumns> at;
  at.x = by.x + row * by.x_stride + piece;
  at.x_stride = by.x_stride;
  const std::int64_t part = kShare == 1 ? 0 : row / 4 % kShare;
  at.later = later + piece * kColumns + part * width * kColumns / kShare;
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c)
    at.w[c] = w + ((n + c < end ? n + c : end - 1) - first) * stride;
  float out[kRows * kColumns];
  tile<kLanes, kRows, kShare>(at, width, out);
  const std::int64_t columns = end - n < kColumns ? end - n : kColumns;
  for (int r = 0; r < kRows; ++r) {
    float* to = by.y + (row + r) * by.y_stride + n;
    for (std::int64_t c = 0; c < columns; ++c) {
      const float value = out[r * kColumns + c];
      to[c] = piece == 0 ? value : to[c] + value;
    }
  }
}

/// What is read `ahead` elements behind column n; once the columns end, what is read after them.
template <class W>
[[gnu::always_inline]] inline const W* later_of(const NarrowProduct& by, std::int64_t n,
                                                std::int64_t end, std::int64_t ahead) {
  const auto* w = static_cast<const W*>(by.w);
  if (by.instead != nullptr) return static_cast<const W*>(by.instead) + n * by.k;
  const std::int64_t beyond = n * by.k + ahead - end * by.k;
  if (beyond < 0) return w + n * by.k + ahead;
  return by.after != nullptr ? static_cast<const W*>(by.after) + beyond : w + n * by.k;
}

/// Few rows: each column meets all of them while it is in the first-level cache. One row leaves nothing to
/// wait for but memory, and asks far ahead.
constexpr std::int64_t kAheadBytes = 24 << 10;
template <int kLanes, class W, int kRows, int kColumns>
void few_rows(const NarrowProduct& by, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kAhead = kAheadBytes / static_cast<std::int64_t>(sizeof(W));
  const std::int64_t ahead = kRows == 1 ? kAhead : kColumns * by.k;
  for (std::int64_t n = begin; n < end; n += kColumns) {
    const W* later = later_of<W>(by, n, end, ahead);
    for (std::int64_t piece = 0; piece < by.k; piece += kPiece) {
      const Strip<W, W> strip{static_cast<const W*>(by.w) + piece, 0, by.k, n, end, piece, later};
      tile_to<kLanes, kRows, kColumns, 1>(by, 0, strip);
    }
  }
}

/// Many rows: as many columns of w as stay in the second-level cache, and the next ones on their way to it,
/// meet bunches of rows that stay in the first-level cache.
constexpr std::int64_t kBlockElems = 24 << 10;
constexpr std::int64_t kBunchElems = 4 << 10;

/// Columns [strip.first, last) and all rows, one piece.
template <int kLanes, int kColumns, int kShare, class W, class Later>
[[gnu::always_inline]] inline void block_to(const NarrowProduct& by, Strip<W, Later> strip,
                                            std::int64_t last, std::int64_t end,
                                            std::int64_t ahead) {
  const std::int64_t bunch = kBunchElems / (4 * piece_width(by, strip.piece)) * 4;
  for (std::int64_t row = 0; row < by.rows; row += bunch) {
    const std::int64_t stop = row + bunch < by.rows ? row + bunch : by.rows;
    for (std::int64_t n = strip.first; n < last; n += kColumns) {
      strip.n = n;
      strip.later = later_of<Later>(by, n, end, ahead);
      std::int64_t r = row;
      for (; r + 4 <= stop; r += 4) tile_to<kLanes, 4, kColumns, kShare>(by, r, strip);
      if (stop - r == 1) tile_to<kLanes, 1, kColumns, kShare>(by, r, strip);
      if (stop - r == 2) tile_to<kLanes, 2, kColumns, kShare>(by, r, strip);
      if (stop - r == 3) tile_to<kLanes, 3, kColumns, kShare>(by, r, strip);
    }
  }
}

/// Columns [first, last) of a piece as f32: each element is widened once, not once for every four rows.
template <int kLanes>
void widen(const NarrowProduct& by, std::int64_t first, std::int64_t last, std::int64_t piece,
           float* to) {
  const auto* w = static_cast<const core::BF16*>(by.w) + piece;
  const std::int64_t width = piece_width(by, piece);
  for (std::int64_t n = first; n < last; ++n, to += width) {
    const core::BF16* from = w + n * by.k;
    std::int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      Float<kLanes> value;
      load<kLanes>(from + i, value);
      __builtin_memcpy(to + i, &value, sizeof value);
    }
    if (i == width) continue;
    Float<kLanes> value;
    load_some<kLanes>(from + i, width - i, value);
    __builtin_memcpy(to + i, &value, static_cast<std::size_t>(width - i) * sizeof(float));
  }
}

template <int kLanes, class W, int kColumns, int kShare>
void many_rows(const NarrowProduct& by, std::int64_t begin, std::int64_t end) {
  const std::int64_t fit = kBlockElems / by.k / kColumns * kColumns;
  const std::int64_t block = fit > 0 ? fit : kColumns;
  const std::int64_t ahead = block * by.k;
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t last = first + block < end ? first + block : end;
    for (std::int64_t piece = 0; piece < by.k; piece += kPiece) {
      if constexpr (sizeof(W) == sizeof(float)) {
        const W* w = static_cast<const W*>(by.w) + first * by.k + piece;
        const Strip<W, W> strip{w, first, by.k, first, end, piece, nullptr};
        block_to<kLanes, kColumns, kShare>(by, strip, last, end, ahead);
      } else {
        static_assert(kColumns * kPiece <= kBlockElems);
        alignas(64) float wide[kBlockElems];
        widen<kLanes>(by, first, last, piece, wide);
        const std::int64_t width = piece_width(by, piece);
        const Strip<float, W> strip{wide, first, width, first, last, piece, nullptr};
        block_to<kLanes, kColumns, kShare>(by, strip, last, end, ahead);
      }
    }
  }
}

template <int kLanes, class W>
void columns(const NarrowProduct& by, std::int64_t begin, std::int64_t end) {
  constexpr int kWide = kLanes == 16 ? 6 : 3;  // 32 registers there, 16 elsewhere
  if constexpr (kLanes == 16 && sizeof(W) == sizeof(float)) {
    const bool keys = by.instead != nullptr;  // of a head: short rows
    if (by.rows == 1 && by.k <= kPiece && !keys) return few_rows<kLanes, W, 1, 1>(by, begin, end);
  }
  if (by.rows == 1) return few_rows<kLanes, W, 1, 6>(by, begin, end);
  if (by.rows == 2) return few_rows<kLanes, W, 2, 6>(by, begin, end);
  if (by.rows == 3) return few_rows<kLanes, W, 3, 4>(by, begin, end);
  if (by.rows < 8) return many_rows<kLanes, W, kWide, 1>(by, begin, end);
  if (by.rows < 16) return many_rows<kLanes, W, kWide, 2>(by, begin, end);
  many_rows<kLanes, W, kWide, 4>(by, begin, end);
}

/// out[d] = Σ over t of p[t] · v[t · width + d], t in order.
template <int kLanes, int kVectors, class V>
[[gnu::always_inline]] inline void weighted_part(const float* p, const V* v, std::int64_t rows,
                                                 std::int64_t width, float* out, const V* next) {
  Float<kLanes> sums[kVectors] = {};
  for (std::int64_t t = 0; t < rows; ++t) {
    const Float<kLanes> factor = Float<kLanes>{} + p[t];
    ask_for<kLanes * kVectors, kCacheOfOneRow<kLanes>>(next + t * width);
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      Float<kLanes> value;
      load<kLanes>(v + t * width + j * kLanes, value);
      sums[j] += factor * value;
    }
  }
  __builtin_memcpy(out, sums, sizeof sums);
}

template <int kLanes, class V>
void weighted_rows(const float* p, const V* v, std::int64_t rows, std::int64_t width, float* out,
                   const V* next) {
  std::int64_t d = 0;
  for (; d + 8 * kLanes <= width; d += 8 * kLanes) {
    weighted_part<kLanes, 8>(p, v + d, rows, width, out + d, next + d);
  }
  for (; d + 4 * kLanes <= width; d += 4 * kLanes) {
    weighted_part<kLanes, 4>(p, v + d, rows, width, out + d, next + d);
  }
  for (; d + kLanes <= width; d += kLanes) {
    weighted_part<kLanes, 1>(p, v + d, rows, width, out + d, next + d);
  }
  if (d == width) return;
  Float<kLanes> sums = {};
  for (std::int64_t t = 0; t < rows; ++t) {
    Float<kLanes> value;
    load_some<kLanes>(v + t * width + d, width - d, value);
    sums += (Float<kLanes>{} + p[t]) * value;
  }
  __builtin_memcpy(out + d, &sums, static_cast<std::size_t>(width - d) * sizeof(float));
}

template <int kLanes>
constexpr NarrowLoops loops() {
  return {columns<kLanes, float>, columns<kLanes, core::BF16>, weighted_rows<kLanes, float>,
          weighted_rows<kLanes, core::BF16>};
}

}  // namespace
}  // namespace rw::kernels
