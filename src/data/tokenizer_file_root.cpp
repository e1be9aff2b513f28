// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "data/tokenizer_file.h"

namespace rw::data {
namespace {

using core::JsonField;

[[noreturn]] void no_tokenizer(const std::string& where, const std::string& what) {
  throw core::Error(
      core::ErrorKind::kDataMalformed,
      fmt::format("{}: is no tokenizer.json of the `tokenizers` package: got {}; want its one file "
                  "that holds `model`, `pre_tokenizer` and `added_tokens`",
                  where, what));
}

bool is_vocabulary(const core::Json& json) {
  return !json.empty() && std::all_of(json.begin(), json.end(),
                                      [](const core::Json& id) { return id.is_number_integer(); });
}

bool has_any(const JsonField& root, std::initializer_list<const char*> keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return root.has(key); });
}

}  // namespace

void require_json_text(const std::string& text, const std::string& where) {
  constexpr std::size_t kHead = 256;
  std::string_view head = std::string_view(text).substr(0, kHead);
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  const std::size_t begin = head.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && (head[begin] == '{' || head[begin] == '[')) return;
  if (begin == std::string_view::npos && text.size() > kHead) return;  // JSON may follow
  if (head.starts_with("#version")) no_tokenizer(where, "the merges of a BPE alone (merges.txt)");
  if (head.starts_with("version https://git-lfs")) {
    no_tokenizer(where, "a pointer of Git LFS, not the file itself (git lfs pull)");
  }
  if (head.starts_with('\n') && head.find('\x15') != std::string_view::npos) {
    no_tokenizer(where, "a sentencepiece model");
  }
  no_tokenizer(where, "no JSON object");
}

void require_tokenizer_file(const JsonField& root) {
  const core::Json& json = root.json();
  if (!json.is_object()) {
    no_tokenizer(root.where(), "JSON that is no object: " + core::shown_json(json));
  }
  if (const auto model = root.find("model"); model && model->json().is_object()) return;
  if (has_any(root, {"tokenizer_class", "added_tokens_decoder", "model_max_length"})) {
    no_tokenizer(root.where(), "a tokenizer_config.json, which holds no tokens");
  }
  if (has_any(root, {"model_type", "architectures", "hidden_size"})) {
    no_tokenizer(root.where(), "a model's config.json");
  }
  if (is_vocabulary(json)) {
    no_tokenizer(root.where(), "a vocabulary alone (vocab.json)");
  }
  if (has_any(root, {"merges", "vocab"})) {
    no_tokenizer(root.where(), "a model without what is around it");
  }
  if (const auto model = root.find("model")) model->refuse("an object");
  no_tokenizer(root.where(), "an object without `model`");
}

}  // namespace rw::data
