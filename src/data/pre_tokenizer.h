// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/split_pattern.h"

namespace rw::data {

/// What becomes of the matches between which a text is cut, as the `tokenizers` package names it.
enum class SplitBehavior {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,  // neighbouring matches are one piece
};

/// One step of cutting text into words.
struct PreTokenizerStep {
  enum class Kind {
    kSplit,        // by `pattern`
    kDigits,       // by numeric characters of any script, each one a match
    kPrefixSpace,  // no cut: a space before each piece that begins with none
  };
  Kind kind = Kind::kSplit;
  std::string pattern;  // kSplit: Ruby syntax
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what lies between matches counts as matches, and they as what is between
  bool operator==(const PreTokenizerStep&) const = default;
};

/// Cuts text into words: by the first step, the pieces by the next one, and so on. Immutable and
/// thread-safe. Equal to the `tokenizers` package.
class PreTokenizer {
 public:
  /// Throws what SplitPattern throws; `where` begins the messages.
  PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& where);
  /// Calls `word` for every word of valid UTF-8 `text`, in order; none is empty. A word may lie
  /// outside of `text` and lasts for the call.
  void cut(std::string_view text, SplitPattern::Scratch& scratch,
           const std::function<void(std::string_view)>& word) const;
  /// As cut(), of text that goes on: the words that stay as they are, whatever follows. Returns how
  /// much of the text is taken; cut() of the rest with what follows gives the other words. 0 for
  /// steps whose pieces depend on each other.
  std::size_t cut_front(std::string_view text, SplitPattern::Scratch& scratch,
                        const std::function<void(std::string_view)>& word) const;

 private:
  struct Step {
    PreTokenizerStep::Kind kind;
    SplitBehavior behavior;
    bool invert;
    std::optional<SplitPattern> pattern;
  };
  using Word = std::function<void(std::string_view)>;
  void cut_from(std::size_t level, std::string_view text, SplitPattern::Scratch& scratch,
                const Word& word) const;
  std::size_t cut_front_from(std::size_t level, std::string_view text,
                             SplitPattern::Scratch& scratch, const Word& word) const;

  std::vector<Step> steps_;
};

}  // namespace rw::data
