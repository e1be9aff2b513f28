// Part of Ropewalk, MIT licence.
#include "core/placement.h"

#include <algorithm>
#include <iterator>

namespace rw::core {

void Placement::add(std::size_t offset, std::size_t size) {
  by_offset_[offset] = size;
  by_size_.insert({size, offset});
}

void Placement::remove(std::size_t offset, std::size_t size) {
  by_offset_.erase(offset);
  by_size_.erase({size, offset});
}

std::size_t Placement::take(std::size_t bytes, Fit fit) {
  const std::size_t size = rounded(bytes);
  live_ += size;
  peak_ = std::max(peak_, live_);
  const auto high = fit == Fit::kBest
                        ? by_offset_.rend()
                        : std::find_if(by_offset_.rbegin(), by_offset_.rend(),
                                       [&](const auto& hole) { return hole.second >= size; });
  if (high != by_offset_.rend()) {
    const auto [offset, whole] = *high;
    remove(offset, whole);
    if (whole > size) add(offset, whole - size);
    return offset + whole - size;
  }
  const auto best = by_size_.lower_bound({size, 0});
  if (best != by_size_.end()) {
    const auto [whole, offset] = *best;
    remove(offset, whole);
    if (whole > size) add(offset + size, whole - size);
    return offset;
  }
  cut();  // what is missing comes on top of the free end
  const std::size_t begin = top_;
  top_ += size;
  return begin;
}

void Placement::cut() {
  if (by_offset_.empty()) return;
  const auto [offset, size] = *by_offset_.rbegin();
  if (offset + size != top_) return;
  remove(offset, size);
  top_ = offset;
  if (top_ == 0) peak_ = live_;
}

void Placement::give(std::size_t offset, std::size_t bytes) {
  std::size_t size = rounded(bytes);
  live_ -= size;
  const auto after = by_offset_.lower_bound(offset);
  if (after != by_offset_.begin()) {
    const auto [begin, length] = *std::prev(after);
    if (begin + length == offset) {
      remove(begin, length);
      offset = begin;
      size += length;
    }
  }
  const auto next = by_offset_.find(offset + size);
  if (next != by_offset_.end()) {
    const auto [begin, length] = *next;
    remove(begin, length);
    size += length;
  }
  add(offset, size);
}

}  // namespace rw::core
