// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rw::data {

/// A regular expression that cuts text into pieces: each match is a piece, and so is each stretch
/// between matches. Written for Oniguruma's Ruby syntax, as tokenizer.json files are;
/// runs on PCRE2 with the same matches. Immutable and thread-safe.
class SplitPattern {
 public:
  /// Throws Error{kDataMalformed}, beginning with `where`, for a construct that has another meaning
  /// in PCRE2 and no translation here, and for an expression that does not compile.
  SplitPattern(const std::string& ruby_expression, const std::string& where);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) = delete;
  SplitPattern(const SplitPattern&) = delete;
  SplitPattern& operator=(const SplitPattern&) = delete;

  /// What one thread needs while it matches.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class SplitPattern;
    struct State;
    std::unique_ptr<State> state_;
  };

  enum class Piece { kMatch, kBetween };
  /// Calls `piece` for every piece of valid UTF-8 `text`, in order. Matches may be empty, but not
  /// one that begins where the last one ended.
  /// Throws Error{kDataMalformed} when matching exceeds PCRE2's limits.
  void split(std::string_view text, Scratch& scratch,
             const std::function<void(std::string_view, Piece)>& piece) const;

  /// Where the front of a text ends that nothing behind the text can change.
  struct Front {
    std::size_t cut = 0;   // all before it has been given out as pieces
    std::size_t open = 0;  // no match begins in [cut, open): one piece whose end is not here
  };
  /// As split(), of a text of which more follows: gives out the pieces that stay as they are,
  /// whatever follows. None at all for an expression that looks back.
  Front split_front(std::string_view text, Scratch& scratch,
                    const std::function<void(std::string_view, Piece)>& piece) const;

 private:
  [[noreturn]] void gives_up(int error, std::string_view text, std::size_t from) const;
  /// Gives out the matches and what lies between them; `more`: as far as they stay as they are.
  Front walk(std::string_view text, Scratch& scratch, bool more,
             const std::function<void(std::string_view, Piece)>& piece) const;

  struct Code;
  std::string where_;
  std::unique_ptr<Code> code_;
};

/// The pattern of GPT-2, which the ByteLevel pre-tokenizer stands for.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The expression in PCRE2's syntax (UTF and UCP on, newline LF); with `added`, general categories
/// hold the code points that PCRE2's Unicode lacks too. Throws as SplitPattern does.
std::string pcre_from_ruby(std::string_view expression, const std::string& where, bool added);

}  // namespace rw::data
