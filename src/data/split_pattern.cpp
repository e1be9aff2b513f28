// Part of Ropewalk, MIT licence.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/split_pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <new>

#include "core/error.h"
#include "core/handle.h"
#include "data/text_source_utf8.h"
#include "data/unicode_supplement.h"

namespace rw::data {
namespace {

constexpr std::size_t kJitStackFirst = 32 * 1024;
constexpr std::size_t kJitStackMost = 16 * 1024 * 1024;
/// Steps back of one search: a pattern that needs more on some text would take seconds or for ever.
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;  // where there is no JIT

template <class Type, void (*Free)(Type*)>
struct Policy {
  using Native = Type*;
  static Type* none() { return nullptr; }
  static void close(Type* one) noexcept { Free(one); }
};
using Compiled = core::Handle<Policy<pcre2_code, pcre2_code_free>>;
using CompileContext = core::Handle<Policy<pcre2_compile_context, pcre2_compile_context_free>>;
using MatchContext = core::Handle<Policy<pcre2_match_context, pcre2_match_context_free>>;
using MatchData = core::Handle<Policy<pcre2_match_data, pcre2_match_data_free>>;
using JitStack = core::Handle<Policy<pcre2_jit_stack, pcre2_jit_stack_free>>;

std::string pcre_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  std::string message;
  for (const auto c : text) {
    if (c == 0) break;
    message += static_cast<char>(c);
  }
  return message;
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

bool has_added(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (static_cast<unsigned char>(text[at]) < 0xe0) continue;  // all of them take 3 or 4 bytes
    if (!added_category(code_point_at(text, at).value).empty()) return true;
  }
  return false;
}

Compiled compile(const std::string& expression, const std::string& where) {
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Compiled code(pcre2_compile(units(expression), expression.size(), PCRE2_UTF | PCRE2_UCP, &error,
                              &offset, context.get()));
  if (code.get() == nullptr) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: the split pattern `{}` does not compile: {}", where,
                                  expression, pcre_message(error)));
  }
  // Without JIT (a machine that has none) matching is slower, not different.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return code;
}

}  // namespace

struct SplitPattern::Code {
  Compiled plain;  // fast
  Compiled added;  // for text with code points that PCRE2's Unicode lacks
  bool looks_back = true;
};

struct SplitPattern::Scratch::State {
  JitStack stack{pcre2_jit_stack_create(kJitStackFirst, kJitStackMost, nullptr)};
  MatchContext context{pcre2_match_context_create(nullptr)};
  MatchData data{pcre2_match_data_create(1, nullptr)};
};

SplitPattern::Scratch::Scratch() : state_(std::make_unique<State>()) {
  if (state_->context.get() == nullptr || state_->data.get() == nullptr) throw std::bad_alloc();
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
  pcre2_set_match_limit(state_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(state_->context.get(), kHeapLimitKib);
}
SplitPattern::Scratch::~Scratch() = default;

SplitPattern::SplitPattern(const std::string& ruby_expression, const std::string& where)
    : where_(where), code_(std::make_unique<Code>()) {
  code_->plain = compile(pcre_from_ruby(ruby_expression, where, false), where);
  code_->added = compile(pcre_from_ruby(ruby_expression, where, true), where);
  std::uint32_t back = 1;
  pcre2_pattern_info(code_->plain.get(), PCRE2_INFO_MAXLOOKBEHIND, &back);
  const bool moves_begin = ruby_expression.find("\\K") != std::string::npos ||
                           ruby_expression.find("\\G") != std::string::npos;
  code_->looks_back = back > 0 || moves_begin;
}

SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern::~SplitPattern() = default;

void SplitPattern::split(std::string_view text, Scratch& scratch,
                         const std::function<void(std::string_view, Piece)>& piece) const {
  const Front end = walk(text, scratch, false, piece);
  if (end.cut < text.size()) piece(text.substr(end.cut), Piece::kBetween);
}

SplitPattern::Front SplitPattern::split_front(
    std::string_view text, Scratch& scratch,
    const std::function<void(std::string_view, Piece)>& piece) const {
  return code_->looks_back ? Front{} : walk(text, scratch, true, piece);
}

SplitPattern::Front SplitPattern::walk(
    std::string_view text, Scratch& scratch, bool more,
    const std::function<void(std::string_view, Piece)>& piece) const {
  auto& state = *scratch.state_;
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(state.data.get());
  const pcre2_code* code = has_added(text) ? code_->added.get() : code_->plain.get();
  const unsigned options = PCRE2_NO_UTF_CHECK | (more ? PCRE2_PARTIAL_HARD : 0);
  Front front{0, text.size()};
  std::size_t from = 0;  // the next search begins here
  bool matched = false;  // a match ends at front.cut
  while (from <= text.size()) {
    const int result = pcre2_match(code, units(text), text.size(), from, options, state.data.get(),
                                   state.context.get());
    if (result == PCRE2_ERROR_NOMATCH) break;
    const std::size_t begin = found[0], end = found[1];
    if (result == PCRE2_ERROR_PARTIAL) {
      front.open = begin;
      break;
    }
    if (result < 0) gives_up(result, text, from);
    if (more && begin == text.size()) break;  // empty here, but what follows may lengthen it
    if (begin == end && matched && end == front.cut) {
      if (end == text.size()) break;
      from = end + code_point_at(text, end).bytes;
      continue;
    }
    if (front.cut < begin) piece(text.substr(front.cut, begin - front.cut), Piece::kBetween);
    piece(text.substr(begin, end - begin), Piece::kMatch);
    front.cut = end;
    from = end;
    matched = true;
  }
  return front;
}

void SplitPattern::gives_up(int error, std::string_view text, std::size_t from) const {
  throw core::Error(core::ErrorKind::kDataMalformed,
                    fmt::format("{}: the split pattern gives up at byte {} of a text of {} bytes: "
                                "{}; split the text into smaller documents",
                                where_, from, text.size(), pcre_message(error)));
}

}  // namespace rw::data
