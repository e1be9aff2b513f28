// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace rw::core {

/// Where blocks lie in one range of offsets [0, …): best fit, free neighbours become one. Touches
/// no memory, so the host's arena (arena.h) and the prediction of its size (dry_run.h) are the same
/// code. Not thread-safe. Cost: logarithmic in the number of free blocks.
class Placement {
 public:
  static constexpr std::size_t kAlign = 64;
  static std::size_t rounded(std::size_t bytes) {
    return ((bytes == 0 ? 1 : bytes) + kAlign - 1) / kAlign * kAlign;
  }

  /// Best fit, or the high end of the highest hole that fits: blocks that outlive the next ones lie
  /// side by side there and leave the rest in one piece.
  enum class Fit { kBest, kHigh };
  /// The offset of a new block, a multiple of kAlign. Extends top() when no free block is large
  /// enough. kHigh is linear in the number of free blocks.
  std::size_t take(std::size_t bytes, Fit fit = Fit::kBest);
  /// Takes back a block of that size.
  void give(std::size_t offset, std::size_t bytes);
  /// A free end is no longer part of the range: top() falls to the end of the last block, and so
  /// does peak_bytes() when there is none.
  void cut();

  std::size_t top() const { return top_; }  // highest end that any block had since the last cut
  std::size_t live_bytes() const { return live_; }  // rounded sizes of the blocks that are out
  std::size_t peak_bytes() const { return peak_; }  // most of that at once
  std::size_t free_blocks() const { return by_offset_.size(); }

 private:
  void add(std::size_t offset, std::size_t size);
  void remove(std::size_t offset, std::size_t size);

  std::map<std::size_t, std::size_t> by_offset_;           // free: offset -> size
  std::set<std::pair<std::size_t, std::size_t>> by_size_;  // free: (size, offset)
  std::size_t top_ = 0, live_ = 0, peak_ = 0;
};

}  // namespace rw::core
