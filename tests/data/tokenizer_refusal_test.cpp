// Part of Ropewalk, MIT licence.
#include "data/fixtures.h"
#include "data/split_pattern.h"
#include "data/tokenizer.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using core::Json;
using testing::added_token;
using testing::Folder;
using testing::message_of;
using testing::small_file;

/// The file is refused, and the message begins with its name and names the key and what it got.
void expect_refused(const Json& file, const std::string& key, const std::string& got) {
  const auto message =
      message_of(ErrorKind::kDataMalformed, [&] { tokenizer_from_json(file.dump(), "t.json"); });
  EXPECT_EQ(message.rfind("t.json: ", 0), 0U) << message;
  EXPECT_NE(message.find(key), std::string::npos) << message;
  EXPECT_NE(message.find(got), std::string::npos) << message;
}

TEST(TokenizerRefusal, NotJson) {
  const auto message =
      message_of(ErrorKind::kDataMalformed, [] { tokenizer_from_json("{\"a\": ", "t.json"); });
  EXPECT_NE(message.find("t.json: is not JSON"), std::string::npos) << message;
  expect_refused(Json::array(), "is not a JSON object", "");
}

TEST(TokenizerRefusal, MissingAndEmptyFiles) {
  const Folder folder;
  auto message = message_of(ErrorKind::kDataMissing, [&] { load_tokenizer(folder / "no.json"); });
  EXPECT_NE(message.find("no such file"), std::string::npos) << message;
  message =
      message_of(ErrorKind::kDataMissing, [&] { load_tokenizer(folder.write("e.json", "")); });
  EXPECT_NE(message.find("is empty"), std::string::npos) << message;
}

TEST(TokenizerRefusal, OtherVersions) {
  Json file = small_file();
  file["version"] = "2.0";
  expect_refused(file, "version", "\"2.0\"");
  file["version"] = "1.0";
  EXPECT_NO_THROW(tokenizer_from_json(file.dump(), "t.json"));
}

TEST(TokenizerRefusal, TheFirstLineOfAMergesFileIsNone) {
  Json file = small_file();
  const auto want = tokenizer_from_json(file.dump(), "t.json")->encode("the the");
  Json merges = Json::array({"#version: 0.2"});
  for (const auto& merge : file["model"]["merges"]) merges.push_back(merge);
  file["model"]["merges"] = merges;
  EXPECT_EQ(tokenizer_from_json(file.dump(), "t.json")->encode("the the"), want);
}

TEST(TokenizerRefusal, TruncationAndPadding) {
  for (const char* key : {"truncation", "padding"}) {
    Json file = small_file();
    file[key] = {{"max_length", 8}};
    expect_refused(file, std::string(key) + ": got", "max_length");
  }
}

TEST(TokenizerRefusal, OtherNormalizers) {
  for (const char* type : {"NFKC", "NFD", "Lowercase", "Prepend", "Replace"}) {
    Json file = small_file();
    file["normalizer"] = {{"type", type}};
    expect_refused(file, "normalizer.type", type);
    file["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", {{{"type", "NFC"}}, {{"type", type}}}}};
    expect_refused(file, "normalizer[1].type", type);
  }
}

TEST(TokenizerRefusal, OtherPreTokenizers) {
  for (const char* type :
       {"Metaspace", "Whitespace", "Digits", "Punctuation", "BertPreTokenizer"}) {
    Json file = small_file();
    file["pre_tokenizer"] = {{"type", type}};
    expect_refused(file, "pre_tokenizer.type", type);
  }
  Json file = small_file();
  file["pre_tokenizer"] = nullptr;
  expect_refused(file, "pre_tokenizer", "null");
}

TEST(TokenizerRefusal, PrefixSpace) {
  Json file = small_file();
  file["pre_tokenizer"]["add_prefix_space"] = true;
  expect_refused(file, "pre_tokenizer.add_prefix_space", "true");
}

TEST(TokenizerRefusal, OtherWaysToSplit) {
  Json file = small_file();
  const Json byte_level = file["pre_tokenizer"];
  Json split{{"type", "Split"},
             {"pattern", {{"Regex", "\\s+"}}},
             {"behavior", "Removed"},
             {"invert", false}};
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
  expect_refused(file, "behavior", "Removed");
  split["behavior"] = "Isolated";
  split["invert"] = true;
  file["pre_tokenizer"]["pretokenizers"] = {split, byte_level};
  expect_refused(file, "invert", "true");
  split["invert"] = false;
  file["pre_tokenizer"]["pretokenizers"] = Json::array({split});
  expect_refused(file, "pre_tokenizer", "ByteLevel as its last step");
  file["pre_tokenizer"]["pretokenizers"] = {byte_level, split};
  expect_refused(file, "pre_tokenizer[1]", "nothing behind ByteLevel");
}

TEST(TokenizerRefusal, OtherModels) {
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"}) {
    Json file = small_file();
    file["model"]["type"] = type;
    expect_refused(file, "model.type", type);
  }
}

TEST(TokenizerRefusal, ModelSettingsThatChangeIds) {
  const std::vector<std::pair<std::string, Json>> settings{{"dropout", 0.1},
                                                           {"continuing_subword_prefix", "##"},
                                                           {"end_of_word_suffix", "</w>"},
                                                           {"fuse_unk", true},
                                                           {"byte_fallback", true}};
  for (const auto& [key, value] : settings) {
    Json file = small_file();
    file["model"][key] = value;
    expect_refused(file, "model." + key, value.dump());
  }
}

TEST(TokenizerRefusal, SettingsThatChangeNothingAreTaken) {
  Json file = small_file();
  file["model"]["dropout"] = 0.0;
  file["model"]["continuing_subword_prefix"] = "";
  file["model"]["end_of_word_suffix"] = "";
  file["model"]["unk_token"] = "a";  // no byte is unknown
  file["model"].erase("type");       // as in old files
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array()}};
  const auto tokenizer = tokenizer_from_json(file.dump(), "t.json");
  EXPECT_EQ(tokenizer->encode("the"), std::vector<std::int32_t>{257});
}

TEST(TokenizerRefusal, UnknownTokenWhereAByteIsMissing) {
  Json file = small_file();
  file["model"]["unk_token"] = "a";
  file["model"]["vocab"].erase("z");
  expect_refused(file, "model.unk_token", "\"a\"");
}

TEST(TokenizerRefusal, BrokenVocabularies) {
  Json file = small_file();
  file["model"]["vocab"]["new"] = -1;
  expect_refused(file, "model.vocab.new", "-1");
  file["model"]["vocab"]["new"] = 258;
  expect_refused(file, "model.vocab", "258 twice");
  file["model"]["vocab"] = Json::array();
  expect_refused(file, "model.vocab", "not an object");
}

TEST(TokenizerRefusal, BrokenMerges) {
  Json file = small_file();
  file["model"]["merges"] = core::Json::array({"t h", "x y"});
  expect_refused(file, "model.merges[1]", "`xy`");
  file["model"]["merges"] = core::Json::array({"t h e"});
  expect_refused(file, "model.merges[0]", "t h e");
  file["model"]["merges"] = core::Json::array({3});
  expect_refused(file, "model.merges[0]", "got 3");
}

TEST(TokenizerRefusal, AddedTokensWithIdsOfTheirOwn) {
  Json file = small_file();
  file["added_tokens"] = core::Json::array({added_token(259, "<a>"), added_token(300, "<b>")});
  expect_refused(file, "added_tokens[1].id", "got 300, want 260");
  file["added_tokens"] = core::Json::array({added_token(259, "the")});
  expect_refused(file, "added_tokens[0].id", "got 259, want 257");
}

TEST(TokenizerRefusal, PatternsThatTwoLibrariesReadDifferently) {
  const std::vector<std::pair<std::string, std::string>> patterns{{"^a", "anchor"},
                                                                  {"a$", "anchor"},
                                                                  {"\\ba", "\\b"},
                                                                  {"\\h", "\\h"},
                                                                  {"[a[bc]]", "inside another"},
                                                                  {"[a&&b]", "&&"},
                                                                  {"(?<n>a)", "(?<n"},
                                                                  {"(?i)a", "(?i)"},
                                                                  {"a{1,2}+", "quantifier"},
                                                                  {"a{2}?", "quantifier"},
                                                                  {"[\\P{L}]", "negated"},
                                                                  {"\\p{C}", "property"},
                                                                  {"\\p{Han}", "property `Han`"},
                                                                  {"\\xff", "\\x7f"},
                                                                  {"[a", "open"},
                                                                  {"(a", "does not compile"}};
  for (const auto& one : patterns) {
    const std::string& pattern = one.first;
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { SplitPattern(pattern, "t.json"); });
    EXPECT_EQ(message.rfind("t.json: ", 0), 0U) << message;
    EXPECT_NE(message.find(one.second), std::string::npos) << pattern << ": " << message;
  }
}

TEST(EndToken, IsFoundInItsPlaces) {
  const Folder folder;
  Json file = small_file();
  file["added_tokens"] =
      core::Json::array({added_token(259, "</s>"), added_token(260, "<|eot_id|>")});
  const auto path = folder.write("tokenizer.json", file.dump());
  const auto tokenizer = load_tokenizer(path);
  EXPECT_EQ(end_token_id(*tokenizer, path, "</s>"), 259);
  auto message = message_of(ErrorKind::kUsage, [&] { end_token_id(*tokenizer, path, ""); });
  EXPECT_NE(message.find("</s>, <|eot_id|>"), std::string::npos) << message;
  message = message_of(ErrorKind::kUsage, [&] { end_token_id(*tokenizer, path, "<no>"); });
  EXPECT_NE(message.find("--end-token <no>"), std::string::npos) << message;
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<|eot_id|>"}})");
  EXPECT_EQ(end_token_id(*tokenizer, path, ""), 260);
  folder.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_EQ(end_token_id(*tokenizer, path, ""), 259);
}

}  // namespace
}  // namespace rw::data
