// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace rw::data {

/// The merges of a BPE, by pair of ids: which is better (lower rank) and what it makes.
class MergeTable {
 public:
  struct Merge {
    std::int32_t rank = -1, made = -1;
  };
  /// `expected`: how many pairs will come.
  explicit MergeTable(std::size_t expected);
  /// A pair that is there already is replaced.
  void set(std::int32_t left, std::int32_t right, Merge merge);
  /// rank -1: these two do not merge.
  Merge find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].merge;
      if (slots_[at].key == kFree) return {};
    }
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kFree;
    Merge merge;
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15ULL) >> 32) & mask_;
  }
  std::size_t mask_;
  std::vector<Slot> slots_;  // open addressing, at most half full
};

/// Merges the ids of one word in place until no pair merges: the best pair first, of equal ones the
/// leftmost. O(n²) for short words, O(n log n) for long ones; the same result.
void merge_word(const MergeTable& merges, std::vector<std::int32_t>& word);

}  // namespace rw::data
