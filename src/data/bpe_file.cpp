// Part of Ropewalk, MIT licence.
#include "data/bpe_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/json.h"
#include "data/bpe_alphabet.h"
#include "data/split_pattern.h"

namespace rw::data {
namespace {

/// Unlike core::Json it finds a key among many quickly; the order of keys does not matter here.
using Tree = nlohmann::json;

/// Takes one file apart.
class Reader {
 public:
  Reader(const Tree& root, const std::string& where) : root_(root), where_(where) {}

  BpeFile read() {
    if (!root_.is_object()) malformed("is not a JSON object");
    if (present(root_, "version") && root_["version"] != "1.0") {
      refuse("version", root_["version"], "1.0");
    }
    for (const char* key : {"truncation", "padding"}) {
      if (present(root_, key)) refuse(key, root_[key], "null");
    }
    normalizer(member(root_, "normalizer"));
    pre_tokenizer(member(root_, "pre_tokenizer"));
    decoder(member(root_, "decoder"));
    model(member(root_, "model"));
    added_tokens(member(root_, "added_tokens"));
    return std::move(file_);
  }

 private:
  [[noreturn]] void malformed(const std::string& what) const {
    throw core::Error(
        core::ErrorKind::kDataMalformed,
        fmt::format("{}: {}; want a tokenizer.json of a byte-level BPE", where_, what));
  }

  [[noreturn]] void refuse(const std::string& key, const Tree& got, const std::string& want) const {
    std::string text = got.dump(-1, ' ', false, Tree::error_handler_t::replace);
    if (text.size() > 120) text = text.substr(0, 117) + "...";
    throw core::Error(
        core::ErrorKind::kDataMalformed,
        fmt::format("{}: {}: got {}, want {}: it would give other token ids than this "
                    "version makes; use scripts/tokenize_hf.py for this tokenizer",
                    where_, key, text, want));
  }

  static const Tree& member(const Tree& object, const std::string& key) {
    static const Tree kNothing;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found == object.end() ? kNothing : *found;
  }
  static bool present(const Tree& object, const std::string& key) {
    return !member(object, key).is_null();
  }

  bool flag(const Tree& object, const std::string& key, bool absent, const std::string& at) const {
    const Tree& value = member(object, key);
    if (value.is_null()) return absent;
    if (!value.is_boolean()) refuse(at + "." + key, value, "true or false");
    return value.get<bool>();
  }

  std::string text(const Tree& object, const std::string& key, const std::string& at) const {
    const Tree& value = member(object, key);
    if (!value.is_string()) refuse(at + "." + key, value, "a string");
    return value.get<std::string>();
  }

  std::int32_t id(const Tree& value, const std::string& at) const {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kLargest) {
      refuse(at, value, "a token id from 0");
    }
    return value.get<std::int32_t>();
  }

  /// Calls `one` for each step of a Sequence, or for the one that stands there alone.
  template <class One>
  void each_step(const Tree& node, const char* at, const char* list, const One& one) const {
    if (text(node, "type", at) != "Sequence") return one(node, std::string(at));
    const Tree& steps = member(node, list);
    if (!steps.is_array()) refuse(fmt::format("{}.{}", at, list), steps, "a list");
    for (std::size_t i = 0; i < steps.size(); ++i) one(steps[i], fmt::format("{}[{}]", at, i));
  }

  void normalizer(const Tree& node) {
    if (node.is_null()) return;
    each_step(node, "normalizer", "normalizers", [&](const Tree& step, const std::string& at) {
      const std::string type = text(step, "type", at);
      if (type != "NFC") refuse(at + ".type", type, "NFC, or no normalizer");
      file_.nfc = true;
    });
  }

  void pre_tokenizer(const Tree& node) {
    if (node.is_null()) refuse("pre_tokenizer", node, "ByteLevel, or Split before ByteLevel");
    bool byte_level = false;
    each_step(node, "pre_tokenizer", "pretokenizers", [&](const Tree& step, const std::string& at) {
      if (byte_level) refuse(at, step, "nothing behind ByteLevel");
      const std::string type = text(step, "type", at);
      if (type == "Split") return split(step, at);
      if (type != "ByteLevel") refuse(at + ".type", type, "Split or ByteLevel");
      byte_level = true;
      if (flag(step, "add_prefix_space", true, at)) {
        refuse(at + ".add_prefix_space", true, "false");
      }
      if (flag(step, "use_regex", true, at)) file_.patterns.emplace_back(kGpt2Pattern);
    });
    if (!byte_level) refuse("pre_tokenizer", node, "ByteLevel as its last step");
  }

  void split(const Tree& step, const std::string& at) {
    const std::string behavior = text(step, "behavior", at);
    if (behavior != "Isolated") refuse(at + ".behavior", behavior, "Isolated");
    if (flag(step, "invert", false, at)) refuse(at + ".invert", true, "false");
    const Tree& pattern = member(step, "pattern");
    if (present(pattern, "Regex")) {
      file_.patterns.push_back(text(pattern, "Regex", at + ".pattern"));
    } else if (present(pattern, "String")) {
      std::string literal;
      for (const char c : text(pattern, "String", at + ".pattern")) {
        if (std::string_view("\\^$.[]|()?*+{}#-&").find(c) != std::string_view::npos)
          literal += '\\';
        literal += c;
      }
      file_.patterns.push_back(literal);
    } else {
      refuse(at + ".pattern", pattern, "Regex or String");
    }
  }

  void decoder(const Tree& node) const {
    if (node.is_null()) return;
    each_step(node, "decoder", "decoders", [&](const Tree& step, const std::string& at) {
      const std::string type = text(step, "type", at);
      if (type != "ByteLevel" && type != "Fuse") refuse(at + ".type", type, "ByteLevel");
    });
  }

  void model(const Tree& node) {
    if (!node.is_object()) refuse("model", node, "a model of type BPE");
    const Tree& type = member(node, "type");  // absent in old files
    if (!(type.is_null() && present(node, "merges")) && type != "BPE") {
      refuse("model.type", type, "BPE");
    }
    const Tree& dropout = member(node, "dropout");
    if (!dropout.is_null() && dropout != 0.0) refuse("model.dropout", dropout, "null");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Tree& affix = member(node, key);
      if (!affix.is_null() && affix != "") refuse(fmt::format("model.{}", key), affix, "null");
    }
    for (const char* key : {"fuse_unk", "byte_fallback"}) {
      if (flag(node, key, false, "model")) refuse(fmt::format("model.{}", key), true, "false");
    }
    file_.ignore_merges = flag(node, "ignore_merges", false, "model");
    vocabulary(member(node, "vocab"));
    merges(member(node, "merges"));
    unknown(member(node, "unk_token"));
  }

  void vocabulary(const Tree& node) {
    if (!node.is_object() || node.empty()) malformed("model.vocab is not an object with tokens");
    file_.vocabulary.reserve(node.size());
    std::vector<std::int32_t> ids;
    for (const auto& [token, value] : node.items()) {
      ids.push_back(id(value, "model.vocab." + token));
      file_.vocabulary.emplace(token, ids.back());
    }
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end()) malformed(fmt::format("model.vocab has id {} twice", *twice));
  }

  void merges(const Tree& node) {
    if (!node.is_array()) malformed("model.merges is not a list");
    file_.merges.reserve(node.size());
    for (const Tree& merge : node) {
      const std::string at = fmt::format("model.merges[{}]", file_.merges.size());
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        file_.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
        continue;
      }
      if (!merge.is_string()) refuse(at, merge, "\"LEFT RIGHT\" or [LEFT, RIGHT]");
      const auto both = merge.get<std::string>();
      if (both.starts_with("#version")) continue;  // first line of a merges.txt
      const std::size_t space = both.find(' ');
      if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos) {
        refuse(at, merge, "two tokens with one space between them");
      }
      file_.merges.emplace_back(both.substr(0, space), both.substr(space + 1));
    }
  }

  /// A token for what the vocabulary lacks matters only when a byte can be lacking.
  void unknown(const Tree& node) const {
    if (node.is_null()) return;
    const auto alphabet = byte_characters();
    const bool whole = std::all_of(alphabet.begin(), alphabet.end(), [&](const std::string& one) {
      return file_.vocabulary.count(one) > 0;
    });
    if (!whole) {
      refuse("model.unk_token", node, "null, or a vocabulary that has all 256 bytes");
    }
  }

  /// The `tokenizers` package numbers added tokens itself: their content's id in the vocabulary,
  /// else the next free one in the order of the file. A file that says otherwise is refused.
  void added_tokens(const Tree& node) {
    if (node.is_null()) return;
    if (!node.is_array()) malformed("added_tokens is not a list");
    const auto model_size = static_cast<std::int64_t>(file_.vocabulary.size());
    std::unordered_map<std::string, std::size_t> seen;
    std::int64_t largest = -1;
    for (std::size_t i = 0; i < node.size(); ++i) {
      const std::string at = fmt::format("added_tokens[{}]", i);
      AddedToken token = added_token(node[i], at);
      const auto known = seen.find(token.content);
      const auto in_model = file_.vocabulary.find(token.content);
      std::int64_t due = std::max(largest + 1, model_size);
      if (in_model != file_.vocabulary.end()) due = in_model->second;
      if (known != seen.end()) due = file_.added[known->second].id;
      if (token.id != due) {
        refuse(at + ".id", token.id,
               fmt::format("{}, which the `tokenizers` package gives to {}", due, token.content));
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

  AddedToken added_token(const Tree& node, const std::string& at) const {
    AddedToken token;
    token.id = id(member(node, "id"), at + ".id");
    token.content = text(node, "content", at);
    if (token.content.empty()) refuse(at + ".content", "", "a text");
    token.special = flag(node, "special", false, at);
    token.single_word = flag(node, "single_word", false, at);
    token.lstrip = flag(node, "lstrip", false, at);
    token.rstrip = flag(node, "rstrip", false, at);
    token.normalized = flag(node, "normalized", !token.special, at);
    return token;
  }

  const Tree& root_;
  const std::string& where_;
  BpeFile file_;
};

}  // namespace

BpeFile read_bpe_file(const std::string& json, const std::string& where) {
  Tree root;
  try {
    root = Tree::parse(json);
  } catch (const Tree::exception& error) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: is not JSON: {}", where, error.what()));
  }
  return Reader(root, where).read();
}

}  // namespace rw::data
