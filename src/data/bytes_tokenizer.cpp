// Part of Ropewalk, MIT licence.
#include "data/bytes_tokenizer.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/bpe_export.h"

namespace rw::data {
namespace {

constexpr std::int32_t kEndId = 256;

class BytesTokenizer : public Tokenizer {
 public:
  BytesTokenizer() {
    BpeExport bpe;
    for (int byte = 0; byte < kEndId; ++byte) bpe.tokens.emplace_back(1, static_cast<char>(byte));
    bpe.tokens.emplace_back(kEndOfText);
    bpe.split_words = false;
    json_ = export_bpe(bpe);
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    encode_to(text, text.size(), ids);
    return ids;
  }

  std::size_t encode_front(std::string_view text, std::vector<std::int32_t>& ids) const override {
    const std::size_t token = std::string_view(kEndOfText).size();
    return text.size() < token ? 0 : encode_to(text, text.size() - token + 1, ids);
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      if (id < 0 || id > kEndId) {
        throw core::Error(core::ErrorKind::kDataMalformed,
                          fmt::format("tokenizer bytes: id {} is no token; want 0 to 256", id));
      }
      if (id == kEndId) {
        text += kEndOfText;
      } else {
        text += static_cast<char>(id);
      }
    }
    return text;
  }

  std::int64_t vocab_size() const override { return kEndId + 1; }

  std::optional<std::int32_t> token_id(std::string_view token) const override {
    if (token == kEndOfText) return kEndId;
    if (token.size() == 1) return static_cast<unsigned char>(token[0]);
    return std::nullopt;
  }

  std::vector<std::string> special_tokens() const override { return {kEndOfText}; }
  const std::string& json() const override { return json_; }
  bool takes_any_bytes() const override { return true; }

 private:
  /// Encodes up to `end`, or to the end of a token that begins before it; returns where that is.
  static std::size_t encode_to(std::string_view text, std::size_t end,
                               std::vector<std::int32_t>& ids) {
    const std::string_view token(kEndOfText);
    ids.reserve(ids.size() + end);
    std::size_t at = 0;
    while (at < end) {
      const std::size_t found = text.find(token, at);
      for (const std::size_t stop = std::min(found, end); at < stop; ++at) {
        ids.push_back(static_cast<unsigned char>(text[at]));
      }
      if (found >= end) break;
      ids.push_back(kEndId);
      at += token.size();
    }
    return at;
  }

  std::string json_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bytes_tokenizer() { return std::make_unique<BytesTokenizer>(); }

}  // namespace rw::data
