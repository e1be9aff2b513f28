// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rw::data {

/// Text to token ids and back. Immutable and thread-safe. Equal to the Hugging Face `tokenizers`
/// package on the same tokenizer.json, with add_special_tokens off.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// No BOS, no template; added tokens in the text are recognised.
  /// Throws Error{kDataMalformed} with the byte offset on invalid UTF-8, unless takes_any_bytes().
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// Encodes the front of a text of which more follows, as far as nothing behind `text` can change
  /// it: appends its ids and returns its length in bytes, which may be 0. encode() of what is left
  /// with what follows gives the other ids of the whole text.
  virtual std::size_t encode_front(std::string_view /*text*/,
                                   std::vector<std::int32_t>& /*ids*/) const {
    return 0;
  }
  /// The bytes behind the ids, special tokens as their text; not always whole UTF-8.
  /// Throws Error{kDataMalformed} for an id that is no token.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  virtual std::int64_t vocab_size() const = 0;  // largest id + 1
  virtual std::optional<std::int32_t> token_id(std::string_view token) const = 0;
  virtual std::vector<std::string> special_tokens() const = 0;  // in order of ids
  virtual const std::string& json() const = 0;                  // a tokenizer.json
  virtual bool takes_any_bytes() const { return false; }
  std::string sha256() const;  // of json()
};

/// "bytes", or the path of a tokenizer.json. Throws Error{kDataMissing} without the file, and what
/// store::read_whole and tokenizer_from_json throw.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& name_or_path);

/// Byte-level BPE: normal forms, pre-tokenizers Digits, Split and ByteLevel in a row, unknown tokens.
/// Whatever else in the file would change ids is refused by name: Error{kDataMalformed}, beginning
/// with `where`.
std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json, const std::string& where);

/// Throws Error{kDataMalformed}, beginning with `where`, for what is no tokenizer.json of the
/// `tokenizers` package, whatever its kind: an export could not carry it.
void require_tokenizer(const std::string& json, const std::string& where);

/// Whether two tokenizer.json give the same ids, however they are written down: as byte-level BPE;
/// of kinds that this version does not read, whether model and added tokens are the same.
bool same_tokenizer(const std::string& json, const std::string& other);

/// The largest id of any kind of tokenizer.json + 1; nullopt when it does not say. Error
/// {kDataMalformed}, beginning with `where`, for what is no JSON.
std::optional<std::int64_t> vocabulary_size(const std::string& json, const std::string& where);

/// The id that ends a document: `end_token` when given; else <|endoftext|>; else the eos_token of
/// the tokenizer_config.json beside the tokenizer. Error{kUsage} that lists the special tokens;
/// Error{kDataMalformed} for a tokenizer_config.json that is needed and does not hold.
std::int32_t end_token_id(const Tokenizer& tokenizer, const std::string& name_or_path,
                          const std::string& end_token);

inline constexpr const char* kBytesName = "bytes";
inline constexpr const char* kEndOfText = "<|endoftext|>";

}  // namespace rw::data
