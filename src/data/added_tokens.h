// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rw::data {

/// An entry of "added_tokens": recognised in the text before anything else looks at it.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no letter, digit or connector touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space behind it along
  bool normalized = false;   // looked for in the normalised text
  bool special = false;
  bool operator==(const AddedToken&) const = default;
};

/// Finds added tokens in text: the leftmost, of those the longest. Immutable and thread-safe.
class AddedTokenFinder {
 public:
  /// Tokens without content are never found; of equal ones the last counts.
  explicit AddedTokenFinder(const std::vector<AddedToken>& tokens);
  /// Gives out the whole text in order: `plain` stretches (never empty) and the ids `found`.
  void split(std::string_view text, const std::function<void(std::string_view)>& plain,
             const std::function<void(std::int32_t)>& found) const;

  /// As split(), of a text of which more follows, up to a place at which neither what was given out
  /// nor what comes behind it can change, whatever follows: the tokens and stretches before it, then
  /// the begin of the stretch that goes on there to `open`, which returns how much of it is taken.
  /// Returns how much of the text is taken. 0 with tokens that must stand alone as words.
  std::size_t split_front(std::string_view text, const std::function<void(std::string_view)>& plain,
                          const std::function<void(std::int32_t)>& found,
                          const std::function<std::size_t(std::string_view)>& open) const;

 private:
  struct Node {
    std::map<unsigned char, std::size_t> next;
    int token = -1;
  };
  struct Match {
    std::size_t bytes = 0;
    int token = -1;
  };
  using Segment = std::function<bool(std::size_t begin, std::size_t end, int token)>;
  /// Gives out stretches (token -1) and tokens in order until `segment` returns false.
  void walk(std::string_view text, const Segment& segment) const;
  Match longest_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::array<bool, 256> begins_{};
  std::size_t longest_bytes_ = 0;
  bool alone_ = false;  // some must stand alone as words
};

}  // namespace rw::data
