// Part of Ropewalk, MIT licence.
#pragma once
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "core/buffer.h"
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/gemm_pack.h"

namespace rw::kernels {

/// Rows and columns of c and a range of k, in elements.
struct GemmPart {
  std::int64_t row = 0, row_end = 0, column = 0, column_end = 0, k = 0, depth = 0;
};

/// How the sums of a part go into c.
template <class C>
struct GemmTarget {
  C* c = nullptr;
  std::int64_t stride = 0;
  Accumulate add = Accumulate::kNo;

  /// Asks for the first and the last line of each row of rows x columns of c: they come while the sums are
  /// worked out (all four lines of 64 columns asked for are no faster).
  void prefetch(const C* to, std::int64_t rows, std::int64_t columns) const {
    for (std::int64_t i = 0; i < rows; ++i) {
      __builtin_prefetch(to + i * stride);
      __builtin_prefetch(to + i * stride + columns - 1);
    }
  }
};

/// The rows of op(a), or the columns of op(b), of a part: what is to be packed.
template <class T>
PanelSource<T> rows_of(const GemmMatrix<T>& a, const GemmPart& part) {
  const bool turned = a.transpose == Transpose::kYes;
  const std::int64_t lane = turned ? 1 : a.stride;
  const std::int64_t deep = turned ? a.stride : 1;
  return {a.data + part.row * lane + part.k * deep, lane, deep, part.row_end - part.row,
          part.depth};
}
template <class T>
PanelSource<T> columns_of(const GemmMatrix<T>& b, const GemmPart& part) {
  const bool turned = b.transpose == Transpose::kYes;
  const std::int64_t lane = turned ? b.stride : 1;
  const std::int64_t deep = turned ? 1 : b.stride;
  return {b.data + part.column * lane + part.k * deep, lane, deep, part.column_end - part.column,
          part.depth};
}

/// Memory that a thread keeps from product to product.
class GemmWorkspace {
 public:
  void* at_least(std::size_t bytes) {
    if (buffer_ == nullptr || buffer_->bytes() < bytes) {
      buffer_.reset();
      buffer_ = std::make_unique<core::Buffer>(bytes, core::Device{});
    }
    return buffer_->address();
  }
  static GemmWorkspace& rows_of_this_thread() {
    thread_local GemmWorkspace workspace;
    return workspace;
  }
  static GemmWorkspace& columns_of_this_thread() {
    thread_local GemmWorkspace workspace;
    return workspace;
  }

 private:
  std::unique_ptr<core::Buffer> buffer_;
};

/// A thread of those that work on one product: they pack b together, then take blocks of rows as they
/// come.
struct GemmMember {
  int me = 0;
  int threads = 1;
  std::atomic<std::int64_t>& next;  // tile of rows that nobody has taken

  /// The next of `tiles`: [first, second), empty at the end; at least `least` and at most `most`. Blocks
  /// shrink towards the end, so that the threads end together also when one of them is slower.
  std::pair<std::int64_t, std::int64_t> take(std::int64_t tiles, std::int64_t least,
                                             std::int64_t most) const {
    std::int64_t first = next.load(std::memory_order_relaxed);
    std::int64_t end = 0;
    do {
      const std::int64_t left = tiles - first;
      if (left <= 0) return {tiles, tiles};
      const std::int64_t share = threads == 1 ? left : std::max(left / (2 * threads), least);
      end = first + std::min({left, share, most});
    } while (!next.compare_exchange_weak(first, end, std::memory_order_relaxed));
    return {first, end};
  }
  void meet() const {
    if (threads == 1) return;
#pragma omp barrier
  }
};

/// One product as one thread of a team sees it. An engine says how long its panels are and what is in them:
///
///   Packed                      element of a packed panel
///   kRows, kColumns             of a tile
///   kMostTiles, kLeastTiles     of rows, in a block that a thread takes
///   kGrain, kMostDepth          depth of a pass: a multiple, and the most when there may be several
///   packed_depth(depth)         of what is packed from so much
///   kColumnElems                most elements of b that are packed at once
///   pack_a(a, part, to)         rows of a part, panel by panel
///   pack_b(b, part, to)         columns of a part, panel by panel
///   multiply(part, a, b, to)    the packed panels, into c
template <class Engine, class T, class C>
class GemmWorker {
 public:
  using Packed = typename Engine::Packed;

  GemmWorker(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
             std::int64_t stride)
      : by_(by), a_(a), b_(b), c_(c), stride_(stride) {}

  /// Room for the packed part of b that the team shares.
  Packed* columns_room() const {
    const auto elems = static_cast<std::size_t>(columns() * Engine::packed_depth(depth()));
    return static_cast<Packed*>(
        GemmWorkspace::columns_of_this_thread().at_least(elems * sizeof(Packed)));
  }

  void run(const GemmMember& team, Packed* packed_b) const {
    const std::int64_t tiles = divide_up(by_.m, Engine::kRows);
    const auto room = static_cast<std::size_t>(std::min(tiles, Engine::kMostTiles) * Engine::kRows *
                                               Engine::packed_depth(depth()));
    auto* packed_a =
        static_cast<Packed*>(GemmWorkspace::rows_of_this_thread().at_least(room * sizeof(Packed)));
    GemmPart part;
    for (part.column = 0; part.column < by_.n; part.column += columns()) {
      part.column_end = std::min(by_.n, part.column + columns());
      for (part.k = 0; part.k < by_.k; part.k += depth()) {
        part.depth = std::min(depth(), by_.k - part.k);
        if (team.me == 0) team.next.store(0, std::memory_order_relaxed);
        pack_columns(team, part, packed_b);
        team.meet();
        while (true) {
          const auto [tile, end] = team.take(tiles, Engine::kLeastTiles, Engine::kMostTiles);
          if (tile == end) break;
          part.row = tile * Engine::kRows;
          part.row_end = std::min(by_.m, end * Engine::kRows);
          Engine::pack_a(a_, part, packed_a);
          const bool adds = part.k > 0 || by_.c == Accumulate::kYes;
          Engine::multiply(part, packed_a, packed_b,
                           GemmTarget<C>{c_, stride_, adds ? Accumulate::kYes : Accumulate::kNo});
        }
        team.meet();
      }
    }
  }

 private:
  static std::int64_t divide_up(std::int64_t x, std::int64_t by) { return (x + by - 1) / by; }
  static std::int64_t round_up(std::int64_t x, std::int64_t to) { return divide_up(x, to) * to; }

  std::int64_t depth() const {
    const bool one_pass = sizeof(C) != sizeof(float);
    const std::int64_t passes = one_pass ? 1 : divide_up(by_.k, Engine::kMostDepth);
    return round_up(divide_up(by_.k, passes), Engine::kGrain);
  }
  std::int64_t columns() const {
    const std::int64_t most =
        std::max(Engine::kColumns, Engine::kColumnElems / Engine::packed_depth(depth()) /
                                       Engine::kColumns * Engine::kColumns);
    return std::min(most, round_up(by_.n, Engine::kColumns));
  }

  void pack_columns(const GemmMember& team, const GemmPart& part, Packed* to) const {
    const std::int64_t panels = divide_up(part.column_end - part.column, Engine::kColumns);
    const std::int64_t elems = Engine::kColumns * Engine::packed_depth(part.depth);
    const std::int64_t first = panels * team.me / team.threads;
    const std::int64_t end = panels * (team.me + 1) / team.threads;
    if (first == end) return;
    GemmPart mine = part;
    mine.column = part.column + first * Engine::kColumns;
    mine.column_end = std::min(part.column_end, part.column + end * Engine::kColumns);
    Engine::pack_b(b_, mine, to + first * elems);
  }

  GemmSizes by_;
  GemmMatrix<T> a_, b_;
  C* c_;
  std::int64_t stride_;
};

/// The whole product with one engine.
template <class Engine, class T, class C>
void run_gemm(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
              std::int64_t stride) {
  constexpr std::int64_t kSmallest = 48 * 48 * 48;  // less work than this is not shared
  const GemmWorker<Engine, T, C> worker(by, a, b, c, stride);
  auto* packed_b = worker.columns_room();
  std::atomic<std::int64_t> next{0};
  const int threads = by.m * by.n * by.k < kSmallest ? 1 : omp_get_max_threads();
  if (threads == 1) return worker.run({0, 1, next}, packed_b);
#pragma omp parallel num_threads(threads)
  worker.run({omp_get_thread_num(), omp_get_num_threads(), next}, packed_b);
}

}  // namespace rw::kernels
