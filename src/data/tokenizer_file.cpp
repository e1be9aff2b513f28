// Part of Ropewalk, MIT licence.
#include "data/tokenizer_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace rw::data {
namespace {

using core::JsonField;

/// Steps cut within each other.
constexpr std::size_t kMostSteps = 64;

constexpr const char* kNormalizers[] = {
    "BertNormalizer", "ByteLevel", "Lowercase", "NFC",      "NFD",   "NFKC",        "NFKD", "Nmt",
    "Precompiled",    "Prepend",   "Replace",   "Sequence", "Strip", "StripAccents"};
constexpr const char* kPreTokenizers[] = {"BertPreTokenizer", "ByteLevel",   "CharDelimiterSplit",
                                          "Digits",           "FixedLength", "Metaspace",
                                          "Punctuation",      "Sequence",    "Split",
                                          "UnicodeScripts",   "Whitespace",  "WhitespaceSplit"};
constexpr const char* kDecoders[] = {"BPEDecoder", "ByteFallback", "ByteLevel", "CTC",
                                     "Fuse",       "Metaspace",    "Replace",   "Sequence",
                                     "Strip",      "WordPiece"};
constexpr const char* kPostProcessors[] = {"BertProcessing", "ByteLevel", "RobertaProcessing",
                                           "Sequence", "TemplateProcessing"};

/// The type of a part, which must be one of those that the package has.
std::string type_of(const JsonField& node, std::span<const char* const> known) {
  const JsonField type = node.at("type");
  std::string text = type.text();
  if (std::find(known.begin(), known.end(), text) == known.end()) {
    std::string list;
    for (const char* one : known) list += (list.empty() ? "" : ", ") + std::string(one);
    type.refuse("a type that the `tokenizers` package has: " + list);
  }
  return text;
}

/// Calls `one` for a part, or for each of a Sequence of them in `list`, with its type.
template <class One>
void each_part(const JsonField& node, std::span<const char* const> known, const char* list,
               const One& one) {
  const std::string type = type_of(node, known);
  if (type != "Sequence") return one(node, type);
  for (const auto& part : node.at(list).list("parts")) each_part(part, known, list, one);
}

bool flag(const JsonField& node, const char* key, bool absent) {
  const auto found = node.find(key);
  return found ? found->flag() : absent;
}

SplitBehavior behavior_of(const JsonField& field) {
  const std::pair<const char*, SplitBehavior> all[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const std::string name = field.text();
  for (const auto& [known, behavior] : all) {
    if (name == known) return behavior;
  }
  field.refuse("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

/// The regular expression that matches this text.
std::string literal(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}#-&").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

PreTokenizerStep split_step(const JsonField& node) {
  PreTokenizerStep step;
  step.behavior = behavior_of(node.at("behavior"));
  step.invert = flag(node, "invert", false);
  const JsonField pattern = node.at("pattern");
  if (const auto regex = pattern.find("Regex")) {
    step.pattern = regex->text();
  } else if (const auto text = pattern.find("String")) {
    step.pattern = literal(text->text());
  } else {
    pattern.refuse(R"({"Regex": …} or {"String": …})");
  }
  return step;
}

void byte_level_steps(const JsonField& node, std::vector<PreTokenizerStep>& steps) {
  flag(node, "trim_offsets", true);
  if (flag(node, "add_prefix_space", true)) {
    steps.push_back({PreTokenizerStep::Kind::kPrefixSpace, {}, SplitBehavior::kIsolated, false});
  }
  if (flag(node, "use_regex", true)) {
    steps.push_back(
        {PreTokenizerStep::Kind::kSplit, kGpt2Pattern, SplitBehavior::kIsolated, false});
  }
}

void require_object(const JsonField& field) {
  if (!field.json().is_object()) field.refuse("an object");
}

/// Of a template: {"name": {"id": text, "ids": numbers, "tokens": texts}}.
void check_special_tokens(const JsonField& field) {
  require_object(field);
  for (const auto& entry : field.json().items()) {
    const JsonField token(entry.value(), field.where() + "." + entry.key());
    require_object(token);
    if (const auto name = token.find("id")) (void)name->text();
    if (const auto ids = token.find("ids")) {
      for (const auto& id : ids->list("ids")) {
        id.whole(0, std::numeric_limits<std::int32_t>::max());
      }
    }
    if (const auto texts = token.find("tokens")) {
      for (const auto& text : texts->list("texts")) (void)text.text();
    }
  }
}

void require_few(const JsonField& field, std::size_t steps) {
  if (steps > kMostSteps) field.fail("more steps", fmt::format("at most {}", kMostSteps));
}

}  // namespace

void unsupported(const JsonField& field, const std::string& want) {
  field.refuse(want +
               ": this version would give other token ids than the `tokenizers` package; use "
               "scripts/tokenize_hf.py for this tokenizer");
}

std::vector<NormalForm> read_normalizer(const JsonField& root) {
  std::vector<NormalForm> forms;
  const auto node = root.find("normalizer");
  if (!node) return forms;
  const std::pair<const char*, NormalForm> all[] = {{"NFC", NormalForm::kNfc},
                                                    {"NFD", NormalForm::kNfd},
                                                    {"NFKC", NormalForm::kNfkc},
                                                    {"NFKD", NormalForm::kNfkd}};
  each_part(*node, kNormalizers, "normalizers", [&](const JsonField& part, const auto& type) {
    for (const auto& [name, form] : all) {
      if (type == name) return forms.push_back(form);
    }
    unsupported(part.at("type"), "NFC, NFD, NFKC or NFKD, or no normalizer");
  });
  require_few(*node, forms.size());
  return forms;
}

std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonField& root) {
  const auto node = root.find("pre_tokenizer");
  if (!node) {
    unsupported(JsonField({}, root.where() + ": pre_tokenizer"),
                "ByteLevel, or a Sequence that ends with it");
  }
  std::vector<PreTokenizerStep> steps;
  bool byte_level = false;
  each_part(*node, kPreTokenizers, "pretokenizers", [&](const JsonField& part, const auto& type) {
    if (byte_level) unsupported(part, "nothing behind ByteLevel");
    if (type == "ByteLevel") {
      byte_level = true;
      byte_level_steps(part, steps);
    } else if (type == "Split") {
      steps.push_back(split_step(part));
    } else if (type == "Digits") {
      steps.push_back({PreTokenizerStep::Kind::kDigits,
                       {},
                       flag(part, "individual_digits", false) ? SplitBehavior::kIsolated
                                                              : SplitBehavior::kContiguous,
                       false});
    } else {
      unsupported(part.at("type"), "Digits, Split or ByteLevel");
    }
  });
  if (!byte_level) unsupported(*node, "ByteLevel as its last step");
  require_few(*node, steps.size());
  return steps;
}

void check_decoder(const JsonField& root) {
  const auto node = root.find("decoder");
  if (!node) return;
  each_part(*node, kDecoders, "decoders", [&](const JsonField& part, const auto& type) {
    if (type != "ByteLevel" && type != "Fuse") unsupported(part.at("type"), "ByteLevel");
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) {
      flag(part, key, true);
    }
  });
}

void check_post_processor(const JsonField& root) {
  const auto node = root.find("post_processor");
  if (!node) return;
  each_part(*node, kPostProcessors, "processors", [&](const JsonField& part, const auto&) {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) {
      flag(part, key, true);
    }
    for (const char* key : {"single", "pair"}) {
      const auto template_parts = part.find(key);
      if (!template_parts) continue;
      for (const auto& one : template_parts->list("parts")) require_object(one);
    }
    for (const char* key : {"sep", "cls"}) {
      const auto token = part.find(key);
      if (!token) continue;
      const auto both = token->list("a token and its id", 2);
      (void)both[0].text();
      both[1].whole(0, std::numeric_limits<std::int32_t>::max());
    }
    if (const auto special = part.find("special_tokens")) check_special_tokens(*special);
  });
}

}  // namespace rw::data
