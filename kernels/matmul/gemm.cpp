// Part of Ropewalk, MIT licence.
#include "kernels/matmul/gemm.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "core/buffer.h"
#include "kernels/matmul/gemm_tile.h"

namespace rw::kernels {
namespace {

using core::BF16;

// A panel of b (depth · 16 floats) stays in the first-level cache, a block of a (kTiles · 6 ·
// depth) in the second, all of b's block (depth · kColumns) in the third.
constexpr std::int64_t kDepth = 512;
constexpr std::int64_t kTiles = 16;  // of six rows, in a block
constexpr std::int64_t kLeast = 2;   // of them, where several threads take blocks
constexpr std::int64_t kColumns = 4096;
constexpr std::int64_t kTurnedRows = 16;
constexpr std::int64_t kSmallest = 48 * 48 * 48;  // less work than this is not shared

std::int64_t divide_up(std::int64_t x, std::int64_t by) { return (x + by - 1) / by; }
std::int64_t round_up(std::int64_t x, std::int64_t to) { return divide_up(x, to) * to; }

/// Memory that a thread keeps from product to product.
class Workspace {
 public:
  float* at_least(std::int64_t elems) {
    const auto bytes = static_cast<std::size_t>(elems) * sizeof(float);
    if (buffer_ == nullptr || buffer_->bytes() < bytes) {
      buffer_.reset();
      buffer_ = std::make_unique<core::Buffer>(bytes, core::Device{});
    }
    return static_cast<float*>(buffer_->address());
  }

 private:
  std::unique_ptr<core::Buffer> buffer_;
};

Workspace& rows_of_this_thread() {
  thread_local Workspace workspace;
  return workspace;
}
Workspace& columns_of_this_thread() {
  thread_local Workspace workspace;
  return workspace;
}

/// A thread of those that work on one product: they pack b together, then take blocks of rows as they
/// come.
struct Member {
  int me = 0;
  int threads = 1;
  std::atomic<std::int64_t>& next;  // tile of rows that nobody has taken

  /// The next of `tiles`: [first, second), empty at the end. Blocks shrink towards the end, so that the
  /// threads end together also when one of them is slower.
  std::pair<std::int64_t, std::int64_t> take(std::int64_t tiles) const {
    std::int64_t first = next.load(std::memory_order_relaxed);
    std::int64_t end = 0;
    do {
      const std::int64_t left = tiles - first;
      if (left <= 0) return {tiles, tiles};
      const std::int64_t share = threads == 1 ? left : std::max(left / (2 * threads), kLeast);
      end = first + std::min({left, share, kTiles});
    } while (!next.compare_exchange_weak(first, end, std::memory_order_relaxed));
    return {first, end};
  }
};

/// One product as one thread of a team sees it.
template <class T, class C>
class Worker {
 public:
  Worker(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
         std::int64_t stride)
      : by_(by), a_(a), b_(b), c_(c), stride_(stride) {}

  std::int64_t depth() const {
    if (sizeof(C) != sizeof(float)) return by_.k;
    return round_up(divide_up(by_.k, divide_up(by_.k, kDepth)), 4);
  }
  std::int64_t columns() const { return std::min(kColumns, round_up(by_.n, kTileColumns)); }

  RW_AVX2 void run(const Member& team, float* packed_b) const {
    const std::int64_t tiles = divide_up(by_.m, kTileRows);
    float* packed_a = rows_of_this_thread().at_least(std::min(tiles, kTiles) * kTileRows * depth());
    for (std::int64_t column = 0; column < by_.n; column += columns()) {
      const std::int64_t width = std::min(columns(), by_.n - column);
      for (std::int64_t k = 0; k < by_.k; k += depth()) {
        const std::int64_t depth = std::min(this->depth(), by_.k - k);
        if (team.me == 0) team.next.store(0, std::memory_order_relaxed);
        const std::int64_t panels = divide_up(width, kTileColumns);
        for (std::int64_t p = panels * team.me / team.threads;
             p < panels * (team.me + 1) / team.threads; ++p) {
          pack_b(column + p * kTileColumns, k, depth, packed_b + p * kTileColumns * depth);
        }
        meet(team);
        while (true) {
          const auto [tile, end] = team.take(tiles);
          if (tile == end) break;
          block_of_rows({tile * kTileRows, std::min(by_.m, end * kTileRows), column, column + width,
                         k, depth},
                        packed_a, packed_b);
        }
        meet(team);
      }
    }
  }

 private:
  struct Part {
    std::int64_t row, row_end, column, column_end, k, depth;
  };

  static void meet(const Member& team) {
    if (team.threads == 1) return;
#pragma omp barrier
  }

  RW_AVX2 void pack_b(std::int64_t column, std::int64_t k, std::int64_t depth, float* to) const {
    PanelSource<T> source;
    const bool turned = b_.transpose == Transpose::kYes;
    source.lane_stride = turned ? b_.stride : 1;
    source.depth_stride = turned ? 1 : b_.stride;
    source.from = b_.data + column * source.lane_stride + k * source.depth_stride;
    source.lanes = std::min(kTileColumns, by_.n - column);
    source.depth = depth;
    pack_panel<kTileColumns>(source, to);
  }

  /// Turned, six numbers of a row of a are all that a panel takes from it: then all panels are packed
  /// a few rows at a time, so that whole cache lines are used up while they are near.
  RW_AVX2 void pack_a(const Part& part, float* to) const {
    PanelSource<T> source;
    const bool turned = a_.transpose == Transpose::kYes;
    source.lane_stride = turned ? 1 : a_.stride;
    source.depth_stride = turned ? a_.stride : 1;
    const std::int64_t step = turned ? kTurnedRows : part.depth;
    for (std::int64_t k = 0; k < part.depth; k += step) {
      source.depth = std::min(step, part.depth - k);
      for (std::int64_t row = part.row; row < part.row_end; row += kTileRows) {
        source.from = a_.data + row * source.lane_stride + (part.k + k) * source.depth_stride;
        source.lanes = std::min(kTileRows, part.row_end - row);
        pack_panel<kTileRows>(source, to + (row - part.row) * part.depth + k * kTileRows);
      }
    }
    if (by_.alpha == 1.0F) return;
    const std::int64_t elems = round_up(part.row_end - part.row, kTileRows) * part.depth;
    for (std::int64_t i = 0; i < elems; ++i) to[i] *= by_.alpha;
  }

  RW_AVX2 void block_of_rows(const Part& part, float* packed_a, const float* packed_b) const {
    pack_a(part, packed_a);
    const Accumulate add =
        part.k > 0 || by_.c == Accumulate::kYes ? Accumulate::kYes : Accumulate::kNo;
    for (std::int64_t column = part.column; column < part.column_end; column += kTileColumns) {
      const float* b = packed_b + (column - part.column) * part.depth;
      const std::int64_t columns = std::min(kTileColumns, part.column_end - column);
      for (std::int64_t row = part.row; row < part.row_end; row += kTileRows) {
        const std::int64_t rows = std::min(kTileRows, part.row_end - row);
        C* to = c_ + row * stride_ + column;
        for (std::int64_t i = 0; i < rows; ++i) {
          _mm_prefetch(reinterpret_cast<const char*>(to + i * stride_), _MM_HINT_T0);
          _mm_prefetch(reinterpret_cast<const char*>(to + i * stride_ + columns - 1), _MM_HINT_T0);
        }
        GemmTile tile;
        gemm_tile(packed_a + (row - part.row) * part.depth, b, part.depth, tile);
        store_tile(tile, to, stride_, rows, columns, add);
      }
    }
  }

  GemmSizes by_;
  GemmMatrix<T> a_, b_;
  C* c_;
  std::int64_t stride_;
};

}  // namespace

bool cpu_has_fma() {
  static const bool kHas =
      __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  return kHas;
}

bool gemm_runs_here() {
  static const bool kRuns = cpu_has_fma() && __builtin_cpu_supports("avx512f") == 0;
  return kRuns;
}

template <class T, class C>
void gemm_serial(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
                 std::int64_t stride) {
  const Worker<T, C> worker(by, a, b, c, stride);
  std::atomic<std::int64_t> next{0};
  worker.run({0, 1, next}, columns_of_this_thread().at_least(worker.columns() * worker.depth()));
}

template <class T, class C>
void gemm(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
          std::int64_t stride) {
  const int threads = omp_get_max_threads();
  if (threads == 1 || by.m * by.n * by.k < kSmallest) return gemm_serial(by, a, b, c, stride);
  const Worker<T, C> worker(by, a, b, c, stride);
  float* packed_b = columns_of_this_thread().at_least(worker.columns() * worker.depth());
  std::atomic<std::int64_t> next{0};
#pragma omp parallel num_threads(threads)
  worker.run({omp_get_thread_num(), omp_get_num_threads(), next}, packed_b);
}

template void gemm(const GemmSizes&, const GemmMatrix<float>&, const GemmMatrix<float>&, float*,
                   std::int64_t);
template void gemm(const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&, float*,
                   std::int64_t);
template void gemm(const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&, BF16*,
                   std::int64_t);
template void gemm_serial(const GemmSizes&, const GemmMatrix<float>&, const GemmMatrix<float>&,
                          float*, std::int64_t);
template void gemm_serial(const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&,
                          float*, std::int64_t);
template void gemm_serial(const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&, BF16*,
                          std::int64_t);

}  // namespace rw::kernels
