// Part of Ropewalk, MIT licence.
#include "data/tokenizer.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/json.h"
#include "data/bpe_file.h"
#include "data/bpe_tokenizer.h"
#include "data/bytes_tokenizer.h"
#include "store/sha256.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;

namespace {

namespace fs = std::filesystem;

std::optional<std::string> read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

/// eos_token of the tokenizer_config.json beside the tokenizer: a string, or {"content": …}.
std::optional<std::string> configured_end(const std::string& tokenizer_path) {
  const auto text = read_whole(fs::path(tokenizer_path).parent_path() / "tokenizer_config.json");
  if (!text) return std::nullopt;
  const core::Json config = core::Json::parse(*text, nullptr, false);
  if (!config.is_object() || !config.contains("eos_token")) return std::nullopt;
  core::Json token = config["eos_token"];
  if (token.is_object() && token.contains("content")) token = core::Json(token["content"]);
  if (!token.is_string()) return std::nullopt;
  return token.get<std::string>();
}

}  // namespace

std::string Tokenizer::sha256() const { return store::sha256_hex(json()); }

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& name_or_path) {
  if (name_or_path == kBytesName) return make_bytes_tokenizer();
  const bool regular = fs::is_regular_file(name_or_path);
  const auto json = regular ? read_whole(name_or_path) : std::nullopt;
  if (!json || json->empty()) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("{}: {}; want `{}` or the path of a tokenizer.json", name_or_path,
                            json      ? "the file is empty"
                            : regular ? "the file cannot be read"
                                      : "no such file",
                            kBytesName));
  }
  return tokenizer_from_json(*json, name_or_path);
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json, const std::string& where) {
  auto bytes = make_bytes_tokenizer();
  if (json == bytes->json()) return bytes;  // a corpus or a model that was made with `bytes`
  return make_bpe_tokenizer(json, where);
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
  const auto a = nlohmann::json::parse(json, nullptr, false);
  const auto b = nlohmann::json::parse(other, nullptr, false);
  const auto member = [](const nlohmann::json& file, const char* key) {
    return file.is_object() && file.contains(key) ? file.at(key) : nlohmann::json();
  };
  return !member(a, "model").is_null() && member(a, "model") == member(b, "model") &&
         member(a, "added_tokens") == member(b, "added_tokens");
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
