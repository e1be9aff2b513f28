// Part of Ropewalk, MIT licence.
#include "data/bpe_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
#include "data/bpe_alphabet.h"
#include "data/tokenizer_file.h"

namespace rw::data {
namespace {

using core::Json;
using core::JsonField;

/// Tables by id have this many places at most.
constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
constexpr std::size_t kMostAddedBytes = std::size_t{1} << 24;  // of contents, all together

bool flag(const JsonField& node, const char* key, bool absent) {
  const auto found = node.find(key);
  return found ? found->flag() : absent;
}

/// Takes one file apart.
class Reader {
 public:
  explicit Reader(const JsonField& root) : root_(root) {}

  BpeFile read() {
    require_tokenizer_file(root_);
    if (const auto version = root_.find("version"); version && version->text() != "1.0") {
      version->refuse("1.0");
    }
    for (const char* key : {"truncation", "padding"}) {
      const auto found = root_.find(key);
      if (!found) continue;
      if (!found->json().is_object()) found->refuse("null or an object");
      unsupported(*found, "null");
    }
    file_.normal_forms = read_normalizer(root_);
    file_.steps = read_pre_tokenizer(root_);
    check_decoder(root_);
    check_post_processor(root_);
    model(root_.at("model"));
    added_tokens();
    return std::move(file_);
  }

 private:
  void model(const JsonField& node) {
    model_type(node);
    if (const auto dropout = node.find("dropout"); dropout && dropout->number(0, 1) != 0) {
      unsupported(*dropout, "null");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto affix = node.find(key);
      if (affix && !affix->text().empty()) unsupported(*affix, "null");
    }
    if (flag(node, "byte_fallback", false)) unsupported(node.at("byte_fallback"), "false");
    file_.ignore_merges = flag(node, "ignore_merges", false);
    vocabulary(node.at("vocab"));
    merges(node.at("merges"));
    unknown(node);
  }

  static void model_type(const JsonField& node) {
    const auto type = node.find("type");
    if (!type && node.has("merges")) return;  // as in old files
    const JsonField field = node.at("type");
    const std::string name = field.text();
    if (name == "BPE") return;
    for (const char* other : {"Unigram", "WordLevel", "WordPiece"}) {
      if (name == other) unsupported(field, "BPE");
    }
    field.refuse("BPE");
  }

  void vocabulary(const JsonField& field) {
    const Json& node = field.json();
    if (!node.is_object()) field.refuse("an object with tokens and their ids");
    if (node.empty()) field.fail("no tokens", "an object with tokens and their ids");
    file_.vocabulary.reserve(node.size());
    std::vector<std::int32_t> ids;
    ids.reserve(node.size());
    for (const auto& [token, value] : node.items()) {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kMostIds) {
        field.at(token.c_str()).whole(0, kMostIds - 1);
        field.fail("a key with a zero byte", "another one");
      }
      ids.push_back(value.get<std::int32_t>());
      file_.vocabulary.emplace(token, ids.back());
    }
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end()) field.fail(fmt::format("id {} twice", *twice), "each id once");
  }

  void merges(const JsonField& field) {
    const Json& node = field.json();
    if (!node.is_array()) field.refuse("a list of merges");
    file_.merges.reserve(node.size());
    for (std::size_t i = 0; i < node.size(); ++i) {
      const Json& merge = node[i];
      const auto fail = [&] {
        field.list("merges")[i].refuse(
            "\"LEFT RIGHT\", two tokens with one space between them, or [LEFT, RIGHT]");
      };
      if (merge.is_array()) {
        if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) fail();
        file_.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
        continue;
      }
      if (!merge.is_string()) fail();
      const auto& both = merge.get_ref<const std::string&>();
      if (both.starts_with("#version")) continue;  // first line of a merges.txt
      const std::size_t space = both.find(' ');
      if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos) fail();
      file_.merges.emplace_back(both.substr(0, space), both.substr(space + 1));
    }
  }

  /// A token for what the vocabulary lacks matters only when a byte can be lacking.
  void unknown(const JsonField& node) {
    const bool fuse = flag(node, "fuse_unk", false);
    const auto token = node.find("unk_token");
    if (!token) return;
    const std::string name = token->text();
    const auto alphabet = byte_characters();
    const bool whole = std::all_of(alphabet.begin(), alphabet.end(), [&](const std::string& one) {
      return file_.vocabulary.count(one) > 0;
    });
    if (whole) return;
    const auto found = file_.vocabulary.find(name);
    if (found == file_.vocabulary.end()) {
      token->refuse("a token of model.vocab, which lacks some of the 256 bytes");
    }
    file_.unknown = found->second;
    file_.fuse_unknown = fuse;
  }

  /// The `tokenizers` package numbers added tokens itself: their content's id in the vocabulary,
  /// else the next free one in the order of the file. A file that says otherwise is refused.
  void added_tokens() {
    const auto field = root_.find("added_tokens");
    if (!field) return;
    const auto model_size = static_cast<std::int64_t>(file_.vocabulary.size());
    std::unordered_map<std::string, std::size_t> seen;
    std::int64_t largest = -1;
    std::size_t bytes = 0;
    for (const JsonField& node : field->list("tokens")) {
      AddedToken token = added_token(node);
      bytes += token.content.size();
      if (bytes > kMostAddedBytes) {
        node.at("content").fail(fmt::format("more than {} bytes of added tokens", kMostAddedBytes),
                                "fewer or shorter ones");
      }
      const auto known = seen.find(token.content);
      const auto in_model = file_.vocabulary.find(token.content);
      std::int64_t due = std::max(largest + 1, model_size);
      if (in_model != file_.vocabulary.end()) due = in_model->second;
      if (known != seen.end()) due = file_.added[known->second].id;
      if (token.id != due) {
        unsupported(node.at("id"),
                    fmt::format("{}, which the package gives to {}", due, token.content));
      }
      largest = std::max(largest, due);
      if (known != seen.end()) {
        file_.added[known->second] = std::move(token);
      } else {
        seen.emplace(token.content, file_.added.size());
        file_.added.push_back(std::move(token));
      }
    }
  }

  static AddedToken added_token(const JsonField& node) {
    AddedToken token;
    token.id = static_cast<std::int32_t>(node.at("id").whole(0, kMostIds - 1));
    token.content = node.at("content").text();
    if (token.content.empty()) node.at("content").refuse("a text");
    token.special = flag(node, "special", false);
    token.single_word = flag(node, "single_word", false);
    token.lstrip = flag(node, "lstrip", false);
    token.rstrip = flag(node, "rstrip", false);
    token.normalized = flag(node, "normalized", !token.special);
    return token;
  }

  const JsonField& root_;
  BpeFile file_;
};

}  // namespace

BpeFile read_bpe_file(const std::string& json, const std::string& where) {
  require_json_text(json, where);
  const Json root = core::parse_json(json, {where});
  return Reader(JsonField(root, where)).read();
}

}  // namespace rw::data
