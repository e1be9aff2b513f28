// Part of Ropewalk, MIT licence.
#include "data/bpe_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "data/added_tokens.h"
#include "data/bpe_alphabet.h"
#include "data/bpe_file.h"
#include "data/bpe_merge.h"
#include "data/pre_tokenizer.h"
#include "data/text_normalizer.h"
#include "data/text_source_utf8.h"

namespace rw::data {
namespace {

using core::Error;
using core::ErrorKind;
using Ids = std::vector<std::int32_t>;

constexpr std::size_t kCacheWords = 1 << 16;  // per text
constexpr std::size_t kCacheBytes = 64;       // longer words are merged anew

std::string in_forms(std::string_view text, const std::vector<NormalForm>& forms) {
  std::string result(text);
  for (const NormalForm form : forms) result = normalized(result, form);
  return result;
}

std::vector<AddedToken> those_with(const BpeFile& file, bool normalized) {
  std::vector<AddedToken> result;
  for (const auto& token : file.added) {
    if (token.normalized != normalized) continue;
    result.push_back(token);
    if (normalized) result.back().content = in_forms(token.content, file.normal_forms);
  }
  return result;
}

class BpeTokenizer : public Tokenizer {
 public:
  BpeTokenizer(const std::string& json, const BpeFile& file, const std::string& where)
      : json_(json),
        where_(where),
        forms_(file.normal_forms),
        unknown_(file.unknown.value_or(-1)),
        fuse_unknown_(file.fuse_unknown),
        ignore_merges_(file.ignore_merges),
        names_(file.vocabulary),
        merges_(file.merges.size()),
        pre_tokenizer_(file.steps, where),
        first_pass_(those_with(file, false)),
        second_pass_(those_with(file, true)) {
    refuse_twins(file);
    take_vocabulary(file);
    take_merges(file);
    for (const auto& token : file.added) {
      names_[token.content] = token.id;
      text_of_[static_cast<std::size_t>(token.id)] =
          token.normalized ? in_forms(token.content, forms_) : token.content;
      if (token.special) special_.push_back(token);
    }
    std::sort(special_.begin(), special_.end(),
              [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  }

  Ids encode(std::string_view text) const override {
    require_utf8(text);
    Work work;
    const auto found = [&](std::int32_t id) { work.ids.push_back(id); };
    first_pass_.split(
        text, [&](std::string_view raw) { encode_stretch(raw, work); }, found);
    return std::move(work.ids);
  }

  std::size_t encode_front(std::string_view text, Ids& ids) const override {
    require_utf8(text);
    Work work;
    const auto found = [&](std::int32_t id) { work.ids.push_back(id); };
    const std::size_t taken = first_pass_.split_front(
        text, [&](std::string_view raw) { encode_stretch(raw, work); }, found,
        [&](std::string_view raw) { return encode_stretch_front(raw, work); });
    ids.insert(ids.end(), work.ids.begin(), work.ids.end());
    return taken;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      const bool inside = id >= 0 && id < vocab_size();
      if (!inside || text_of_[static_cast<std::size_t>(id)].empty()) {
        throw Error(ErrorKind::kDataMalformed, fmt::format("{}: id {} is no token; want 0 to {}",
                                                           where_, id, vocab_size() - 1));
      }
      text += text_of_[static_cast<std::size_t>(id)];
    }
    return text;
  }

  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(text_of_.size()); }

  std::optional<std::int32_t> token_id(std::string_view token) const override {
    const auto found = names_.find(std::string(token));
    if (found == names_.end()) return std::nullopt;
    return found->second;
  }

  std::vector<std::string> special_tokens() const override {
    std::vector<std::string> result;
    for (const auto& token : special_) result.push_back(token.content);
    return result;
  }

  const std::string& json() const override { return json_; }

 private:
  /// One call of encode.
  struct Work {
    Ids ids, word;
    SplitPattern::Scratch scratch;
    std::unordered_map<std::string, Ids> cache;
  };

  static void require_utf8(std::string_view text) {
    const std::size_t bad = find_invalid_utf8(text);
    if (bad == std::string_view::npos) return;
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("invalid UTF-8 at byte {}; want UTF-8 text", bad));
  }

  /// Text between tokens of the first pass.
  void encode_stretch(std::string_view raw, Work& work) const {
    const std::function<void(std::string_view)> add = [&](std::string_view word) {
      add_word(word, work);
    };
    std::string formed;
    if (!forms_.empty()) formed = in_forms(raw, forms_);
    const std::string_view normal = forms_.empty() ? raw : std::string_view(formed);
    second_pass_.split(
        normal, [&](std::string_view plain) { pre_tokenizer_.cut(plain, work.scratch, add); },
        [&](std::int32_t id) { work.ids.push_back(id); });
  }

  /// The begin of a stretch that goes on; returns how much of it is taken.
  std::size_t encode_stretch_front(std::string_view raw, Work& work) const {
    const std::function<void(std::string_view)> add = [&](std::string_view word) {
      add_word(word, work);
    };
    if (!forms_.empty()) {
      // Nothing composes with an ASCII character before it, nor moves across it.
      while (!raw.empty() && (static_cast<unsigned char>(raw.back()) & 0x80U) != 0) {
        raw.remove_suffix(1);
      }
      if (!raw.empty()) raw.remove_suffix(1);
      if (in_forms(raw, forms_) != raw) return 0;  // places in it would not be those of the text
    }
    return second_pass_.split_front(
        raw, [&](std::string_view plain) { pre_tokenizer_.cut(plain, work.scratch, add); },
        [&](std::int32_t id) { work.ids.push_back(id); },
        [&](std::string_view plain) { return pre_tokenizer_.cut_front(plain, work.scratch, add); });
  }

  /// Which of two tokens of equal normalised text is found is chance in the `tokenizers` package.
  void refuse_twins(const BpeFile& file) const {
    std::unordered_map<std::string, std::string> seen;
    for (const auto& token : file.added) {
      if (!token.normalized || forms_.empty()) continue;
      const auto [twin, fresh] = seen.emplace(in_forms(token.content, forms_), token.content);
      if (fresh) continue;
      throw Error(
          ErrorKind::kDataMalformed,
          fmt::format("{}: added_tokens: got `{}` and `{}`, which the normalizer makes equal; want "
                      "tokens that differ in normalised text",
                      where_, twin->second, token.content));
    }
  }

  void take_vocabulary(const BpeFile& file) {
    std::int32_t largest = 0;
    for (const auto& [token, id] : file.vocabulary) largest = std::max(largest, id);
    for (const auto& token : file.added) largest = std::max(largest, token.id);
    text_of_.resize(static_cast<std::size_t>(largest) + 1);
    byte_ids_.fill(-1);
    const ByteAlphabet alphabet;
    for (const auto& [token, id] : file.vocabulary) {
      const auto bytes = alphabet.to_bytes(token);
      text_of_[static_cast<std::size_t>(id)] = bytes.value_or(token);
      if (!bytes) continue;  // no text reaches it
      if (bytes->size() == 1) byte_ids_[static_cast<unsigned char>(bytes->front())] = id;
      if (ignore_merges_) words_.emplace(*bytes, id);
    }
  }

  void take_merges(const BpeFile& file) {
    std::int32_t rank = 0;
    const auto id_of = [&](const std::string& token) {
      const auto found = file.vocabulary.find(token);
      if (found == file.vocabulary.end()) {
        throw Error(ErrorKind::kDataMalformed,
                    fmt::format("{}: model.merges[{}] needs the token `{}`, which model.vocab does "
                                "not have",
                                where_, rank, token));
      }
      return found->second;
    };
    for (const auto& [left, right] : file.merges) {
      merges_.set(id_of(left), id_of(right), {rank, id_of(left + right)});
      ++rank;
    }
  }

  /// One id per byte; for those that the vocabulary lacks the unknown token, or none.
  void put_bytes(std::string_view bytes, Ids& word) const {
    word.clear();
    bool lacking = false;  // the byte before
    for (const char byte : bytes) {
      const std::int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
      if (id >= 0) {
        word.push_back(id);
      } else if (unknown_ >= 0 && !(lacking && fuse_unknown_)) {
        word.push_back(unknown_);
      }
      lacking = id < 0;
    }
  }

  void add_word(std::string_view bytes, Work& work) const {
    const bool cached = bytes.size() <= kCacheBytes;
    std::string key;
    if (cached || ignore_merges_) key = bytes;
    if (ignore_merges_) {
      const auto whole = words_.find(key);
      if (whole != words_.end()) {
        work.ids.push_back(whole->second);
        return;
      }
    }
    if (cached) {
      const auto known = work.cache.find(key);
      if (known != work.cache.end()) {
        work.ids.insert(work.ids.end(), known->second.begin(), known->second.end());
        return;
      }
    }
    put_bytes(bytes, work.word);
    merge_word(merges_, work.word);
    work.ids.insert(work.ids.end(), work.word.begin(), work.word.end());
    if (cached && work.cache.size() < kCacheWords) work.cache.emplace(std::move(key), work.word);
  }

  std::string json_, where_;
  std::vector<NormalForm> forms_;
  std::int32_t unknown_;  // -1: bytes that the vocabulary lacks are dropped
  bool fuse_unknown_, ignore_merges_;
  std::unordered_map<std::string, std::int32_t> names_;  // as written; added tokens by content
  std::unordered_map<std::string, std::int32_t> words_;  // by bytes, when merges are ignored
  std::vector<std::string> text_of_;                     // bytes by id; empty: no token
  std::array<std::int32_t, 256> byte_ids_{};
  MergeTable merges_;
  PreTokenizer pre_tokenizer_;
  AddedTokenFinder first_pass_, second_pass_;
  std::vector<AddedToken> special_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(const std::string& json, const std::string& where) {
  return std::make_unique<BpeTokenizer>(json, read_bpe_file(json, where), where);
}

}  // namespace rw::data
