// Part of Ropewalk, MIT licence.
#include "data/bpe_merge.h"

#include <bit>
#include <limits>
#include <queue>

namespace rw::data {
namespace {

constexpr std::size_t kShortWord = 48;

void merge_short(const MergeTable& merges, std::vector<std::int32_t>& word) {
  constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();
  std::vector<MergeTable::Merge> pairs(word.size());  // pairs[i]: word[i] with word[i + 1]
  const auto look_up = [&](std::size_t i) {
    pairs[i] = merges.find(word[i], word[i + 1]);
    if (pairs[i].rank < 0) pairs[i].rank = kNever;
  };
  for (std::size_t i = 0; i + 1 < word.size(); ++i) look_up(i);
  while (word.size() > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < word.size(); ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNever) return;
    const auto gone = static_cast<std::ptrdiff_t>(best) + 1;
    word[best] = pairs[best].made;
    word.erase(word.begin() + gone);
    pairs.erase(pairs.begin() + gone);
    if (best + 1 < word.size()) look_up(best);
    if (best > 0) look_up(best - 1);
  }
}

struct Candidate {
  std::int32_t rank;
  std::size_t at;
  std::int32_t left, right, made;
  bool operator<(const Candidate& other) const {  // the queue gives the greatest first
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

void merge_long(const MergeTable& merges, std::vector<std::int32_t>& word) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const std::size_t count = word.size();
  std::vector<std::size_t> next(count), previous(count);
  for (std::size_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
  }
  std::priority_queue<Candidate> queue;
  const auto propose = [&](std::size_t i) {
    if (i == kNone || next[i] == kNone) return;
    const auto merge = merges.find(word[i], word[next[i]]);
    if (merge.rank >= 0) queue.push({merge.rank, i, word[i], word[next[i]], merge.made});
  };
  for (std::size_t i = 0; i < count; ++i) propose(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const std::size_t after = next[best.at];
    // Entries whose pair has changed since are dead; ids that are gone are -1.
    if (word[best.at] != best.left || after == kNone || word[after] != best.right) continue;
    word[best.at] = best.made;
    word[after] = -1;
    next[best.at] = next[after];
    if (next[after] != kNone) previous[next[after]] = best.at;
    propose(best.at);
    propose(previous[best.at]);
  }
  std::erase(word, -1);
}

}  // namespace

MergeTable::MergeTable(std::size_t expected)
    : mask_(std::bit_ceil(2 * expected + 2) - 1), slots_(mask_ + 1) {}

void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

void merge_word(const MergeTable& merges, std::vector<std::int32_t>& word) {
  if (word.size() <= kShortWord) {
    merge_short(merges, word);
  } else {
    merge_long(merges, word);
  }
}

}  // namespace rw::data
