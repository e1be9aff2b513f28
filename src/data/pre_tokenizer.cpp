// Part of Ropewalk, MIT licence.
#include "data/pre_tokenizer.h"

#include <utf8proc.h>

#include "data/text_source_utf8.h"
#include "data/unicode_supplement.h"

namespace rw::data {
namespace {

using Piece = SplitPattern::Piece;

/// Digits, letters that are numbers, fractions: of any script. The `tokenizers` package asks Rust's
/// library, which knows the numbers of Unicode 17.
bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  if ((c >= 0x11de0 && c <= 0x11de9) || (c >= 0x16ff4 && c <= 0x16ff6)) return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO || added_category(c).starts_with('N');
}

/// Gives out the digits and what lies between them, up to the last digit; returns where that ends.
std::size_t walk_digits(std::string_view text,
                        const std::function<void(std::string_view, Piece)>& piece) {
  std::size_t given = 0;  // all before it has been given out
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint here = code_point_at(text, at);
    if (is_numeric(here.value)) {
      if (given < at) piece(text.substr(given, at - given), Piece::kBetween);
      piece(text.substr(at, here.bytes), Piece::kMatch);
      given = at + here.bytes;
    }
    at += here.bytes;
  }
  return given;
}

/// Puts pieces, which come in order without gaps, together as a behaviour wants them.
class Regroup {
 public:
  Regroup(SplitBehavior behavior, const std::function<void(std::string_view)>& out)
      : behavior_(behavior), out_(out) {}

  void add(std::string_view piece, bool match) {
    if (joins(match)) {
      held_ = {held_.data(), held_.size() + piece.size()};
    } else {
      flush();
      held_ = piece;
      holds_ = !(behavior_ == SplitBehavior::kRemoved && match);
    }
    last_ = match;
  }

  void flush() {
    if (holds_ && !held_.empty()) out_(held_);
    holds_ = false;
  }

 private:
  /// Whether a piece goes on with the one that is held.
  bool joins(bool match) const {
    if (!holds_) return false;
    switch (behavior_) {
      case SplitBehavior::kMergedWithPrevious:
        return match && !last_;
      case SplitBehavior::kMergedWithNext:
        return !match && last_;
      case SplitBehavior::kContiguous:
        return match == last_;
      default:
        return false;
    }
  }

  SplitBehavior behavior_;
  const std::function<void(std::string_view)>& out_;
  std::string_view held_;
  bool holds_ = false, last_ = false;
};

}  // namespace

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& where) {
  for (const auto& step : steps) {
    Step& made = steps_.emplace_back(Step{step.kind, step.behavior, step.invert, std::nullopt});
    if (step.kind == PreTokenizerStep::Kind::kSplit) made.pattern.emplace(step.pattern, where);
  }
}

void PreTokenizer::cut(std::string_view text, SplitPattern::Scratch& scratch,
                       const Word& word) const {
  cut_from(0, text, scratch, word);
}

void PreTokenizer::cut_from(std::size_t level, std::string_view text,
                            SplitPattern::Scratch& scratch, const Word& word) const {
  if (level == steps_.size()) return word(text);
  const Step& step = steps_[level];
  if (step.kind == PreTokenizerStep::Kind::kPrefixSpace) {
    if (text.starts_with(' ')) return cut_from(level + 1, text, scratch, word);
    return cut_from(level + 1, " " + std::string(text), scratch, word);
  }
  const Word next = [&](std::string_view piece) { cut_from(level + 1, piece, scratch, word); };
  const auto each = [&](const std::function<void(std::string_view, Piece)>& piece) {
    if (step.pattern) return step.pattern->split(text, scratch, piece);
    const std::size_t end = walk_digits(text, piece);
    if (end < text.size()) piece(text.substr(end), Piece::kBetween);
  };
  if (step.behavior == SplitBehavior::kIsolated) {
    const bool last = level + 1 == steps_.size();
    const Word& out = last ? word : next;
    return each([&](std::string_view piece, Piece) {
      if (!piece.empty()) out(piece);
    });
  }
  Regroup regroup(step.behavior, next);
  each([&](std::string_view piece, Piece kind) {
    regroup.add(piece, (kind == Piece::kMatch) != step.invert);
  });
  regroup.flush();
}

std::size_t PreTokenizer::cut_front(std::string_view text, SplitPattern::Scratch& scratch,
                                    const Word& word) const {
  return cut_front_from(0, text, scratch, word);
}

std::size_t PreTokenizer::cut_front_from(std::size_t level, std::string_view text,
                                         SplitPattern::Scratch& scratch, const Word& word) const {
  if (level == steps_.size()) return 0;  // one word, whose end is not here
  const Step& step = steps_[level];
  const bool removes = step.behavior == SplitBehavior::kRemoved;
  if (step.kind == PreTokenizerStep::Kind::kPrefixSpace) return 0;
  if (!removes && step.behavior != SplitBehavior::kIsolated) return 0;
  const auto gone = [&](Piece kind) { return removes && (kind == Piece::kMatch) != step.invert; };
  const auto each = [&](std::string_view piece, Piece kind) {
    if (!piece.empty() && !gone(kind)) cut_from(level + 1, piece, scratch, word);
  };
  SplitPattern::Front front{0, text.size()};
  if (step.pattern) {
    front = step.pattern->split_front(text, scratch, each);
  } else {
    front.cut = walk_digits(text, each);
  }
  if (gone(Piece::kBetween)) return front.open;
  const std::string_view open = text.substr(front.cut, front.open - front.cut);
  return front.cut + cut_front_from(level + 1, open, scratch, word);
}

}  // namespace rw::data
