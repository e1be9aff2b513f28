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
  EXPECT_EQ(message.rfind("t.json:1:7: got the end of the text", 0), 0U) << message;
  expect_refused(Json::array(), "is no tokenizer.json", "JSON that is no object");
}

/// Refused, and not with a way on that would refuse it too.
void expect_no_tokenizer(const std::string& text, const std::string& what) {
  const auto message =
      message_of(ErrorKind::kDataMalformed, [&] { tokenizer_from_json(text, "t.json"); });
  EXPECT_EQ(message.rfind("t.json: is no tokenizer.json", 0), 0U) << message;
  EXPECT_NE(message.find(what), std::string::npos) << message;
  EXPECT_EQ(message.find("tokenize_hf"), std::string::npos) << message;
}

TEST(TokenizerRefusal, FilesThatAreNoTokenizerAreCalledWhatTheyAre) {
  expect_no_tokenizer(R"({"a": 0, "b": 1})", "vocab.json");
  expect_no_tokenizer(R"({"tokenizer_class": "GPT2Tokenizer"})", "tokenizer_config.json");
  expect_no_tokenizer(R"({"model_type": "llama", "hidden_size": 8})", "config.json");
  expect_no_tokenizer(R"({"vocab": {}, "merges": []})", "a model without what is around it");
  expect_no_tokenizer(R"({"weights": {}})", "an object without `model`");
  expect_no_tokenizer("#version: 0.2\nt h\n", "merges.txt");
  expect_no_tokenizer("\n\x0e\n\x05<unk>\x15", "sentencepiece");
  expect_no_tokenizer("version https://git-lfs.github.com/spec/v1\noid", "git lfs pull");
  expect_no_tokenizer("The rope walk.", "no JSON object");
  expect_no_tokenizer("[1, 2]", "no object");
}

TEST(TokenizerRefusal, DeepNestingIsRefusedAtItsPlace) {
  Json file = small_file();
  for (const char* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += open;
    const std::string text = R"({"normalizer":)" + deep;
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { tokenizer_from_json(text, "t.json"); });
    EXPECT_NE(message.find("nested more than"), std::string::npos) << message;
  }
}

TEST(TokenizerRefusal, EveryValueOfAnotherTypeIsNamedByItsKey) {
  Json file = small_file();
  file["added_tokens"] = core::Json::array({added_token(259, "<a>")});
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", Json::array()},
                            {"pair", Json::array()},
                            {"special_tokens", Json::object()}};
  file["model"]["unk_token"] = "a";
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", Json::array({{{"type", "Digits"}, {"individual_digits", true}},
                                     {{"type", "Split"},
                                      {"pattern", {{"Regex", "a"}}},
                                      {"behavior", "Isolated"},
                                      {"invert", false}},
                                     file["pre_tokenizer"]})}};
  EXPECT_NO_THROW(tokenizer_from_json(file.dump(), "t.json"));
  const std::vector<Json> wrong{5, -1, 1.5, true, "x", Json::array({"x"}), {{"x", 1}}};
  int tried = 0;
  const Json flat = file.flatten();
  for (const auto& [path, value] : flat.items()) {
    if (path.starts_with("/model/vocab/") && path != "/model/vocab/th") continue;
    for (const Json& other : wrong) {
      const bool alike = other.type() == value.type() || (other.is_number() && value.is_number()) ||
                         (value.is_null() && path != "/post_processor");
      if (alike) continue;
      Json changed = file;
      changed[Json::json_pointer(path)] = other;
      const auto message = message_of(ErrorKind::kDataMalformed,
                                      [&] { tokenizer_from_json(changed.dump(), "t.json"); });
      const std::string key = path.substr(1 + path.find_last_of('/', path.size() - 2));
      const bool index = key.find_first_not_of("0123456789") == std::string::npos;
      EXPECT_EQ(message.rfind("t.json: ", 0), 0U) << message;
      EXPECT_NE(message.find(index ? "[" + key + "]" : key), std::string::npos) << message;
      EXPECT_EQ(message.find("tokenize_hf"), std::string::npos) << path << ": " << message;
      ++tried;
    }
  }
  EXPECT_GT(tried, 150);
}

TEST(TokenizerRefusal, MissingAndEmptyFiles) {
  const Folder folder;
  auto message = message_of(ErrorKind::kDataMissing, [&] { load_tokenizer(folder / "no.json"); });
  EXPECT_NE(message.find("no such file"), std::string::npos) << message;
  message =
      message_of(ErrorKind::kDataMissing, [&] { load_tokenizer(folder.write("e.json", "")); });
  EXPECT_NE(message.find("is empty"), std::string::npos) << message;
  message = message_of(ErrorKind::kDataMissing, [&] { load_tokenizer(folder.path()); });
  EXPECT_NE(message.find("is a folder"), std::string::npos) << message;
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
  for (const char* type : {"BertNormalizer", "Strip", "Lowercase", "Prepend", "Replace"}) {
    Json file = small_file();
    file["normalizer"] = {{"type", type}};
    expect_refused(file, "normalizer.type", type);
    file["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", {{{"type", "NFC"}}, {{"type", type}}}}};
    expect_refused(file, "normalizer.normalizers[1].type", type);
  }
}

TEST(TokenizerRefusal, OtherPreTokenizers) {
  for (const char* type :
       {"Metaspace", "Whitespace", "UnicodeScripts", "Punctuation", "BertPreTokenizer"}) {
    Json file = small_file();
    file["pre_tokenizer"] = {{"type", type}};
    expect_refused(file, "pre_tokenizer.type", type);
  }
  Json file = small_file();
  file["pre_tokenizer"] = nullptr;
  expect_refused(file, "pre_tokenizer", "null");
}

TEST(TokenizerRefusal, PostProcessorsAreNotAppliedButTheirTypesHold) {
  Json file = small_file();
  const auto with = [&](Json post) {
    file["post_processor"] = std::move(post);
    return file;
  };
  Json special{{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}};
  Json post{{"type", "TemplateProcessing"},
            {"single", Json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}})},
            {"special_tokens", special}};
  EXPECT_NO_THROW(tokenizer_from_json(with(post).dump(), "t.json"));
  post["special_tokens"]["<s>"]["ids"] = Json::array({"1"});
  expect_refused(with(post), "post_processor.special_tokens.<s>", "ids[0]: got \"1\"");
  post["special_tokens"] = special;
  post["single"] = Json::array({3});
  expect_refused(with(post), "post_processor.single[0]", "got 3");
  expect_refused(with({{"type", "BertProcessing"}, {"sep", Json::array({1, "a"})}}),
                 "post_processor.sep[0]", "got 1");
  expect_refused(with({{"type", "ByteLevel"}, {"trim_offsets", 1}}), "post_processor.trim_offsets",
                 "got 1");
}

TEST(TokenizerRefusal, KindsThatThePackageDoesNotHave) {
  const auto refuse = [](const Json& file, const std::string& key) {
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { tokenizer_from_json(file.dump(), "t.json"); });
    EXPECT_NE(message.find(key + ": got \"Ropes\""), std::string::npos) << message;
    EXPECT_EQ(message.find("tokenize_hf"), std::string::npos) << message;
  };
  for (const char* part : {"normalizer", "pre_tokenizer", "decoder", "post_processor", "model"}) {
    Json file = small_file();
    file[part] = {{"type", "Ropes"}};
    refuse(file, std::string(part) + ".type");
  }
}

TEST(TokenizerRefusal, MoreStepsThanTextIsCutBy) {
  Json file = small_file();
  Json steps = Json::array();
  for (int i = 0; i < 70; ++i) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  steps.push_back(file["pre_tokenizer"]);
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  expect_refused(file, "pre_tokenizer", "at most 64");
}

TEST(TokenizerRefusal, OtherWaysToSplit) {
  Json file = small_file();
  const Json byte_level = file["pre_tokenizer"];
  Json split{{"type", "Split"},
             {"pattern", {{"Regex", "\\s+"}}},
             {"behavior", "Dropped"},
             {"invert", false}};
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
  expect_refused(file, "pretokenizers[0].behavior", "Dropped");
  split["behavior"] = "Removed";
  split["pattern"] = Json{{"Words", "a"}};
  file["pre_tokenizer"]["pretokenizers"] = {split, byte_level};
  expect_refused(file, "pretokenizers[0].pattern", "Words");
  split["pattern"] = Json{{"String", "a"}};
  file["pre_tokenizer"]["pretokenizers"] = Json::array({split});
  expect_refused(file, "pre_tokenizer", "ByteLevel as its last step");
  file["pre_tokenizer"]["pretokenizers"] = {byte_level, split};
  expect_refused(file, "pretokenizers[1]", "nothing behind ByteLevel");
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
  file["model"]["fuse_unk"] = true;
  file["model"]["cache_capacity"] = 7;
  file["further"] = {{"notes", 3}};
  file["model"].erase("type");  // as in old files
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array()}};
  const auto tokenizer = tokenizer_from_json(file.dump(), "t.json");
  EXPECT_EQ(tokenizer->encode("the"), std::vector<std::int32_t>{257});
}

TEST(TokenizerRefusal, AnUnknownTokenThatIsNone) {
  Json file = small_file();
  file["model"]["unk_token"] = "<unk>";
  EXPECT_NO_THROW(tokenizer_from_json(file.dump(), "t.json"));
  file["model"]["vocab"].erase("z");
  expect_refused(file, "model.unk_token", "got \"<unk>\", want a token of model.vocab");
}

TEST(TokenizerRefusal, BrokenVocabularies) {
  Json file = small_file();
  file["model"]["vocab"]["new"] = -1;
  expect_refused(file, "model.vocab.new", "-1");
  file["model"]["vocab"]["new"] = 2147483647;
  expect_refused(file, "model.vocab.new", "2147483647");
  file["model"]["vocab"]["new"] = 258;
  expect_refused(file, "model.vocab", "258 twice");
  file["model"]["vocab"] = Json::array();
  expect_refused(file, "model.vocab", "want an object");
  file["model"]["vocab"] = Json::object();
  expect_refused(file, "model.vocab", "no tokens");
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

TEST(TokenizerRefusal, PatternsThatOnlyPcreKnows) {
  for (const char* pattern :
       {"(*UTF)a", "(*LIMIT_MATCH=4000000000)a", "a(*COMMIT)b", "(a(*ACCEPT)b)c", "(*pla:a)b",
        "a(?C)", "a(?C7)b", "(a(?R)?)", "(a)(?1)", "(?P<n>a)(?P>n)", "(?&n)", "(?|a|b)", "\\Ca",
        "(*NO_JIT)(*LIMIT_HEAP=1)\\s+", "(*"}) {
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { SplitPattern(pattern, "t.json"); });
    EXPECT_NE(message.find("does not read either"), std::string::npos) << message;
    EXPECT_EQ(message.find("tokenize_hf"), std::string::npos) << message;
  }
  EXPECT_NO_THROW(SplitPattern("[(*UTF)]", "t.json"));
  EXPECT_NO_THROW(SplitPattern("\\(*UTF", "t.json"));
}

TEST(TokenizerRefusal, PatternsThatTryAllWaysGiveUp) {
  for (const char* pattern : {"(a+)+b", "(a|a)*b", "(?:a|aa)+b", "(?:a*)*[bd]"}) {
    const SplitPattern split(pattern, "t.json");
    SplitPattern::Scratch scratch;
    const auto message = message_of(ErrorKind::kDataMalformed, [&] {
      split.split(std::string(1000, 'a') + "cb", scratch, [](auto, auto) {});
    });
    EXPECT_EQ(message.rfind("t.json: the split pattern gives up at byte 0", 0), 0U) << message;
    EXPECT_NE(message.find("match limit"), std::string::npos) << message;
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

TEST(EndToken, AConfigurationOfAnotherTypeIsNamed) {
  const Folder folder;
  Json file = small_file();
  file["added_tokens"] = core::Json::array({added_token(259, "</s>")});
  const auto path = folder.write("tokenizer.json", file.dump());
  const auto tokenizer = load_tokenizer(path);
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"eos_token": 5})", "eos_token: got 5, want a string"},
      {R"({"eos_token": true})", "eos_token: got true"},
      {R"({"eos_token": ["</s>"]})", "eos_token: got [\"</s>\"]"},
      {R"({"eos_token": {"content": 7}})", "eos_token.content: got 7"},
      {R"({"eos_token": {"text": "</s>"}})", "eos_token: got no `content`"},
      {R"(["</s>"])", "want an object"},
      {R"({"eos_token": )", "tokenizer_config.json:1:15: got the end"}};
  for (const auto& one : wrong) {
    folder.write("tokenizer_config.json", one.first);
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { end_token_id(*tokenizer, path, ""); });
    EXPECT_NE(message.find("tokenizer_config.json"), std::string::npos) << message;
    EXPECT_NE(message.find(one.second), std::string::npos) << message;
    EXPECT_EQ(end_token_id(*tokenizer, path, "</s>"), 259);  // not needed, not looked at
  }
  folder.write("tokenizer_config.json", R"({"eos_token": null})");
  message_of(ErrorKind::kUsage, [&] { end_token_id(*tokenizer, path, ""); });
}

TEST(RequireTokenizer, AnyKindThatAnExportCanCarry) {
  EXPECT_NO_THROW(require_tokenizer(load_tokenizer("bytes")->json(), "c.h5"));
  EXPECT_NO_THROW(require_tokenizer(small_file().dump(), "c.h5"));
  EXPECT_NO_THROW(require_tokenizer(R"({"model": {"type": "Unigram", "vocab": []}})", "c.h5"));
  Json file = small_file();
  file["added_tokens"] = Json::array({added_token(259, "<a>")});
  std::vector<std::string> damaged{"", "{", "[]", "{}", R"({"model": 3})", "a\x01z"};
  file["added_tokens"][0]["id"] = "259";
  damaged.push_back(file.dump());
  file["added_tokens"][0] = 259;
  damaged.push_back(file.dump());
  file["added_tokens"] = "<a>";
  damaged.push_back(file.dump());
  for (const auto& text : damaged) {
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { require_tokenizer(text, "c.h5"); });
    EXPECT_EQ(message.rfind("c.h5:", 0), 0U) << message;
  }
}

}  // namespace
}  // namespace rw::data
