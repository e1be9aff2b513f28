// Part of Ropewalk, MIT licence.
#include "data/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
#include "data/bpe_file.h"
#include "data/bpe_tokenizer.h"
#include "data/bytes_tokenizer.h"
#include "data/tokenizer_file.h"
#include "store/posix.h"
#include "store/sha256.h"
#include "store/store.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;

namespace {

namespace fs = std::filesystem;

/// eos_token of the tokenizer_config.json beside the tokenizer: a string, or {"content": …}.
std::optional<std::string> configured_end(const std::string& tokenizer_path) {
  const std::string path =
      (fs::path(tokenizer_path).parent_path() / "tokenizer_config.json").string();
  const auto store = store::make_posix();
  if (!store->exists(path)) return std::nullopt;
  const core::Json config = core::parse_json(store::read_whole(*store, path), {path});
  const auto token = core::JsonField(config, path).find("eos_token");
  if (!token) return std::nullopt;
  if (token->json().is_object()) return token->at("content").text();
  if (!token->json().is_string()) token->refuse("a string or {\"content\": …}");
  return token->text();
}

}  // namespace

std::string Tokenizer::sha256() const { return store::sha256_hex(json()); }

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& name_or_path) {
  if (name_or_path == kBytesName) return make_bytes_tokenizer();
  const auto fail = [&](ErrorKind kind, const std::string& got) {
    throw Error(kind, fmt::format("{}: {}; want `{}` or the path of a tokenizer.json", name_or_path,
                                  got, kBytesName));
  };
  std::error_code ignored;
  if (fs::is_directory(name_or_path, ignored)) fail(ErrorKind::kDataMissing, "is a folder");
  const auto store = store::make_posix();
  if (!store->exists(name_or_path)) fail(ErrorKind::kDataMissing, "no such file");
  const std::string json = store::read_whole(*store, name_or_path);
  if (json.empty()) fail(ErrorKind::kDataMissing, "the file is empty");
  return tokenizer_from_json(json, name_or_path);
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json, const std::string& where) {
  auto bytes = make_bytes_tokenizer();
  if (json == bytes->json()) return bytes;  // a corpus or a model that was made with `bytes`
  return make_bpe_tokenizer(json, where);
}

void require_tokenizer(const std::string& json, const std::string& where) {
  if (json == make_bytes_tokenizer()->json()) return;
  require_json_text(json, where);
  const core::Json tree = core::parse_json(json, {where});
  const core::JsonField root(tree, where);
  require_tokenizer_file(root);
  const auto added = root.find("added_tokens");
  if (!added) return;
  for (const auto& token : added->list("tokens")) {
    token.at("id").whole(0, std::numeric_limits<std::int32_t>::max());
    (void)token.at("content").text();
  }
}

bool same_tokenizer(const std::string& json, const std::string& other) {
  if (json == other) return true;
  const auto read = [](const std::string& text) -> std::optional<BpeFile> {
    try {
      return read_bpe_file(text, "");
    } catch (const Error&) {
      return std::nullopt;
    }
  };
  const auto ours = read(json);
  const auto theirs = read(other);
  if (ours || theirs) return ours == theirs;
  const auto parsed = [](const std::string& text) -> nlohmann::json {  // keys in any order
    try {
      return core::parse_json(text, {});
    } catch (const Error&) {
      return nullptr;
    }
  };
  const auto a = parsed(json), b = parsed(other);
  const auto member = [](const nlohmann::json& file, const char* key) {
    return file.is_object() && file.contains(key) ? file.at(key) : nlohmann::json();
  };
  return !member(a, "model").is_null() && member(a, "model") == member(b, "model") &&
         member(a, "added_tokens") == member(b, "added_tokens");
}

std::optional<std::int64_t> vocabulary_size(const std::string& json, const std::string& where) {
  const core::Json file = core::parse_json(json, {where});
  if (!file.is_object() || !file.contains("model")) return std::nullopt;
  const core::Json& model = file.at("model");
  if (!model.is_object() || !model.contains("vocab")) return std::nullopt;
  const core::Json& vocab = model.at("vocab");
  std::int64_t largest = -1;
  const auto take = [&](const core::Json& id) {
    const bool fits = id.is_number_unsigned() && id.get<std::uint64_t>() < INT32_MAX;
    if (fits) largest = std::max(largest, id.get<std::int64_t>());
  };
  if (vocab.is_array()) largest = static_cast<std::int64_t>(vocab.size()) - 1;  // Unigram
  if (vocab.is_object()) {
    for (const core::Json& id : vocab) take(id);
  }
  if (file.contains("added_tokens") && file.at("added_tokens").is_array()) {
    for (const core::Json& token : file.at("added_tokens")) {
      if (token.is_object() && token.contains("id")) take(token.at("id"));
    }
  }
  if (largest < 0) return std::nullopt;
  return largest + 1;
}

std::int32_t end_token_id(const Tokenizer& tokenizer, const std::string& name_or_path,
                          const std::string& end_token) {
  const auto fail = [&](const std::string& got) {
    std::string list;
    for (const auto& token : tokenizer.special_tokens()) {
      list += (list.empty() ? "" : ", ") + token;
    }
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: {}; name the token that ends a document with --end-token; special "
                            "tokens here: {}",
                            name_or_path, got, list.empty() ? "none" : list));
  };
  if (!end_token.empty()) {
    const auto id = tokenizer.token_id(end_token);
    if (!id) fail(fmt::format("--end-token {} is not in the vocabulary", end_token));
    return *id;
  }
  if (const auto id = tokenizer.token_id(kEndOfText)) return *id;
  const auto configured = configured_end(name_or_path);
  if (!configured)
    fail(fmt::format("has no {} and no tokenizer_config.json with an eos_token", kEndOfText));
  const auto id = tokenizer.token_id(*configured);
  if (!id)
    fail(fmt::format("the eos_token {} of tokenizer_config.json is not in the vocabulary",
                     *configured));
  return *id;
}

}  // namespace rw::data
