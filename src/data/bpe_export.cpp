// Part of Ropewalk, MIT licence.
#include "data/bpe_export.h"

#include "core/json.h"
#include "data/bpe_alphabet.h"

namespace rw::data {

std::string export_bpe(const BpeExport& bpe) {
  const ByteAlphabet alphabet;
  const auto name = [&](int id) {
    const auto& token = bpe.tokens[static_cast<std::size_t>(id)];
    return id == bpe.end_of_text ? token : alphabet.to_token(token);
  };
  const auto byte_level = [](bool use_regex) {
    return core::Json{{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", use_regex}};
  };
  const core::Json added{{"id", bpe.end_of_text}, {"content", name(bpe.end_of_text)},
                         {"single_word", false},  {"lstrip", false},
                         {"rstrip", false},       {"normalized", false},
                         {"special", true}};
  // The vocabulary is written as text: an ordered JSON object is slow for many keys.
  std::string json = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n";
  json += "  \"added_tokens\": [" + added.dump() + "],\n  \"normalizer\": null,\n";
  json += "  \"pre_tokenizer\": " + byte_level(bpe.split_words).dump() + ",\n";
  json += "  \"post_processor\": null,\n  \"decoder\": " + byte_level(true).dump() + ",\n";
  json += R"(  "model": {"type": "BPE", "dropout": null, "unk_token": null,)"
          R"( "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,)"
          R"( "byte_fallback": false, "ignore_merges": false,)";
  json += "\n    \"vocab\": {";
  for (int id = 0; id < static_cast<int>(bpe.tokens.size()); ++id) {
    json += (id == 0 ? "\n      " : ",\n      ") + core::Json(name(id)).dump() + ": ";
    json += std::to_string(id);
  }
  json += "\n    },\n    \"merges\": [";
  for (std::size_t i = 0; i < bpe.merges.size(); ++i) {
    const auto& [left, right] = bpe.merges[i];
    json += (i == 0 ? "\n      " : ",\n      ");
    json += core::Json(name(left) + " " + name(right)).dump();
  }
  json += bpe.merges.empty() ? "]\n  }\n}\n" : "\n    ]\n  }\n}\n";
  return json;
}

}  // namespace rw::data
