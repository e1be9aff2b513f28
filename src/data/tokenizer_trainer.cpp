// Part of Ropewalk, MIT licence.
#include "data/tokenizer_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/tokenizer.h"

namespace rw::data {
namespace {

constexpr std::int64_t kSmallest = 257;
constexpr std::int64_t kLargest = 1 << 24;

using Pair = std::pair<int, int>;

std::uint64_t key_of(Pair pair) {
  return static_cast<std::uint64_t>(pair.first) << 32 | static_cast<std::uint64_t>(pair.second);
}

struct Word {
  std::vector<int> ids;
  std::int64_t count = 0;
};

/// What is known of a pair of neighbours.
struct PairUse {
  std::int64_t count = 0;
  std::vector<std::uint32_t> words;  // that may hold it, ascending per merge
};

struct Candidate {
  std::int64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {  // the queue gives the greatest first
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Merger {
 public:
  explicit Merger(std::vector<Word> words) : words_(std::move(words)) {
    std::vector<Pair> all;
    for (std::uint32_t i = 0; i < words_.size(); ++i) change(i, 1, all);
    propose(all);
  }

  /// The best pair now; false when there is none.
  bool best(Pair& pair) {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      const std::int64_t now = uses_.at(key_of(top.pair)).count;
      if (now == top.count && now > 0) {
        pair = top.pair;
        return true;
      }
      queue_.pop();
      if (now > 0) queue_.push({now, top.pair});
    }
    return false;
  }

  /// Puts `made` wherever `pair` stands.
  void merge(Pair pair, int made) {
    const auto holders = std::move(uses_.at(key_of(pair)).words);
    std::vector<Pair> fresh;
    for (const std::uint32_t i : holders) {
      auto& ids = words_[i].ids;
      std::vector<int> merged;
      for (std::size_t at = 0; at < ids.size(); ++at) {
        const bool here = at + 1 < ids.size() && Pair{ids[at], ids[at + 1]} == pair;
        merged.push_back(here ? made : ids[at]);
        if (here) ++at;
      }
      if (merged.size() == ids.size()) continue;  // an earlier merge took it
      std::vector<Pair> gone;
      change(i, -1, gone);
      ids = std::move(merged);
      change(i, 1, fresh);
    }
    propose(fresh);
  }

 private:
  /// Adds (sign 1) or takes away (-1) the pairs of one word; appends them to `touched`.
  void change(std::uint32_t word, int sign, std::vector<Pair>& touched) {
    const auto& ids = words_[word].ids;
    for (std::size_t at = 0; at + 1 < ids.size(); ++at) {
      const Pair pair{ids[at], ids[at + 1]};
      PairUse& use = uses_[key_of(pair)];
      use.count += sign * words_[word].count;
      if (sign < 0) continue;
      if (use.words.empty() || use.words.back() != word) use.words.push_back(word);
      touched.push_back(pair);
    }
  }

  void propose(std::vector<Pair>& pairs) {
    std::sort(pairs.begin(), pairs.end());
    pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
    for (const Pair& pair : pairs) queue_.push({uses_.at(key_of(pair)).count, pair});
  }

  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, PairUse> uses_;  // looked up only
  std::priority_queue<Candidate> queue_;
};

}  // namespace

TokenizerTrainer::TokenizerTrainer() : pattern_(kGpt2Pattern, "GPT-2's pattern") {}

void TokenizerTrainer::add(std::string_view text) {
  SplitPattern::Scratch scratch;
  pattern_.split(text, scratch, [&](std::string_view word, SplitPattern::Piece) {
    ++words_[std::string(word)];  // GPT-2's pattern has no empty matches
  });
}

std::size_t TokenizerTrainer::add_front(std::string_view text) {
  SplitPattern::Scratch scratch;
  const auto count = [&](std::string_view word, SplitPattern::Piece) {
    ++words_[std::string(word)];
  };
  return pattern_.split_front(text, scratch, count).cut;
}

BpeExport TokenizerTrainer::train(std::int64_t vocab_size) const {
  if (vocab_size < kSmallest || vocab_size > kLargest) {
    throw core::Error(core::ErrorKind::kUsage,
                      fmt::format("--vocab-size {}: want {} (256 bytes and {}) to {}", vocab_size,
                                  kSmallest, kEndOfText, kLargest));
  }
  if (words_.empty()) {
    throw core::Error(core::ErrorKind::kDataMissing,
                      "train-tokenizer: got no text, want files with words in them");
  }
  std::vector<std::pair<std::string, std::int64_t>> counted(words_.begin(), words_.end());
  std::sort(counted.begin(), counted.end());
  std::vector<Word> words;
  for (const auto& [text, count] : counted) {
    Word word{{}, count};
    for (const char byte : text) word.ids.push_back(static_cast<unsigned char>(byte));
    words.push_back(std::move(word));
  }
  BpeExport bpe;
  for (int byte = 0; byte < 256; ++byte) bpe.tokens.emplace_back(1, static_cast<char>(byte));
  bpe.end_of_text = 256;
  bpe.tokens.emplace_back(kEndOfText);
  Merger merger(std::move(words));
  Pair pair;
  while (static_cast<std::int64_t>(bpe.tokens.size()) < vocab_size && merger.best(pair)) {
    const int made = static_cast<int>(bpe.tokens.size());
    bpe.tokens.push_back(bpe.tokens[static_cast<std::size_t>(pair.first)] +
                         bpe.tokens[static_cast<std::size_t>(pair.second)]);
    bpe.merges.push_back(pair);
    merger.merge(pair, made);
  }
  return bpe;
}

}  // namespace rw::data
