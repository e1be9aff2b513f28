// Part of Ropewalk, MIT licence.
// A text that comes in pieces has the ids of the whole text, wherever the pieces end.
#include <random>

#include "data/builder.h"
#include "data/fixtures.h"
#include "data/text_source_utf8.h"
#include "data/tokenizer.h"
#include "data/tokenizer_trainer.h"
#include "store/corpus_file.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using core::Json;
using testing::added_token;
using testing::Folder;
using testing::message_of;
using testing::small_file;
using Ids = std::vector<std::int32_t>;

/// `count` bits of text that tokenizers treat in ways of their own, one behind the other.
std::string mixture(unsigned seed, int count) {
  static const std::vector<std::string> parts{"the",
                                              " the",
                                              "The rope",
                                              " ",
                                              "  ",
                                              "   ",
                                              "\n",
                                              "\n\n",
                                              " \n",
                                              "\t",
                                              "...",
                                              "?!\n\n",
                                              "'s",
                                              "'re",
                                              "12",
                                              "345678",
                                              "\xc3\xa9",
                                              "e\xcc\x81",
                                              "\xe6\x97\xa5\xe6\x9c\xac",
                                              "\xf0\x9f\x98\x80",
                                              "<tok>",
                                              "<",
                                              "<to",
                                              "<|endoftext|>",
                                              "<|endoftext",
                                              "\xc2\xa0",
                                              "aaaaaaaaaaaaaaaa",
                                              "_x",
                                              "\r\n",
                                              "\xef\xac\x81"};
  std::mt19937 draw(seed);
  std::string out;
  for (int i = 0; i < count; ++i) out += parts[draw() % parts.size()];
  return out;
}

/// Encodes `text` in pieces of about `piece` bytes; says how much was held back at most.
Ids encode_in_pieces(const Tokenizer& tokenizer, const std::string& text, std::size_t piece,
                     std::size_t& most_held) {
  Ids ids;
  std::string held;
  most_held = 0;
  for (std::string_view rest(text); !rest.empty();) {
    const std::size_t end = cut_between_characters(rest, piece);
    held += rest.substr(0, end);
    rest.remove_prefix(end);
    if (rest.empty()) break;
    held.erase(0, tokenizer.encode_front(held, ids));
    most_held = std::max(most_held, held.size());
  }
  const Ids last = tokenizer.encode(held);
  ids.insert(ids.end(), last.begin(), last.end());
  return ids;
}

/// Many texts, many sizes of pieces; true when no text was held back whole.
bool pieces_change_nothing(const Tokenizer& tokenizer) {
  std::size_t most = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const std::string text = mixture(seed, 200);
    const Ids whole = tokenizer.encode(text);
    for (const std::size_t piece : {5U, 17U, 64U, 300U}) {
      std::size_t held = 0;
      EXPECT_EQ(encode_in_pieces(tokenizer, text, piece, held), whole)
          << "seed " << seed << " pieces of " << piece;
      most = std::max(most, held);
    }
  }
  return most < 600;
}

std::unique_ptr<Tokenizer> load(const Json& file) {
  return tokenizer_from_json(file.dump(), "test.json");
}

Json with_token(Json token) {
  Json file = small_file();
  file["added_tokens"] = Json::array({std::move(token)});
  return file;
}

TEST(EncodeFront, Bytes) { EXPECT_TRUE(pieces_change_nothing(*load_tokenizer("bytes"))); }

/// A golden file whose tokens need not stand alone as words.
std::unique_ptr<Tokenizer> load_golden(const std::string& style) {
  Json file = Json::parse(testing::read_bytes(testing::golden(style + ".json")));
  for (auto& token : file["added_tokens"]) token["single_word"] = false;
  return load(file);
}

TEST(EncodeFront, StylesOfTheGoldenFiles) {
  for (const char* style : {"gpt2", "llama3"}) {
    EXPECT_TRUE(pieces_change_nothing(*load_golden(style))) << style;
  }
  // Composes: text that NFC changes waits until it is whole.
  pieces_change_nothing(*load_golden("qwen"));
}

TEST(EncodeFront, TextThatNfcLeavesAloneIsNotHeldBack) {
  const auto qwen = load_golden("qwen");
  std::string text;
  for (int i = 0; i < 500; ++i) text += "\xe6\x97\xa5\xe6\x9c\xac and words, 12\n";
  std::size_t held = 0;
  EXPECT_EQ(encode_in_pieces(*qwen, text, 100, held), qwen->encode(text));
  EXPECT_LT(held, 300U);
}

TEST(EncodeFront, TokensThatTakeWhiteSpaceAlong) {
  for (const char* flag : {"lstrip", "rstrip", "normalized"}) {
    Json token = added_token(259, "<tok>");
    token[flag] = true;
    const auto tokenizer = load(with_token(token));
    EXPECT_TRUE(pieces_change_nothing(*tokenizer)) << flag;
  }
}

TEST(EncodeFront, TokensThatStandAloneHoldEverythingBack) {
  Json token = added_token(259, "<tok>");
  token["single_word"] = true;
  const auto tokenizer = load(with_token(token));
  Ids ids;
  EXPECT_EQ(tokenizer->encode_front(mixture(1, 500), ids), 0U);
  EXPECT_FALSE(pieces_change_nothing(*tokenizer));
}

TEST(EncodeFront, PatternsOneBehindTheOther) {
  const auto split = [](const char* expression) {
    return Json{{"type", "Split"},
                {"pattern", {{"Regex", expression}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  Json file = small_file();
  const Json last = file["pre_tokenizer"];
  for (const auto& expressions : {std::vector<const char*>{"\\p{N}{1,3}"},
                                  std::vector<const char*>{"[\\r\\n]", "\\s+(?!\\S)"},
                                  std::vector<const char*>{"the|rope\\n", "a{3,5}"}}) {
    Json list = Json::array();
    for (const char* expression : expressions) list.push_back(split(expression));
    list.push_back(last);
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", list}};
    EXPECT_TRUE(pieces_change_nothing(*load(file))) << expressions.front();
  }
  file["pre_tokenizer"]["pretokenizers"][0] = split("(?<=a)a");
  EXPECT_FALSE(pieces_change_nothing(*load(file)));
}

class LongDocuments : public ::testing::Test {
 protected:
  Folder folder_;
};

/// Two text files of several pieces and a short one, one of them twice.
TEST_F(LongDocuments, AreWhatShortOnesAre) {
  const auto tokenizer = load_tokenizer(testing::golden("gpt2.json"));
  const std::string text = mixture(1, 3000);
  const std::string other = text + "other";
  BuildOptions options;
  options.out = folder_ / "c.h5";
  options.files = {folder_.write("a.txt", text), folder_.write("b.txt", "short"),
                   folder_.write("c.txt", other), folder_.write("d.txt", text)};
  options.end_token = *tokenizer->token_id("<|endoftext|>");
  options.text.piece_bytes = 700;
  options.batch_bytes = 2000;
  options.deduplicate = true;
  options.validation_share = 0.5;
  const auto report = build_corpus(*tokenizer, options);
  EXPECT_EQ(report.duplicates, 1);
  const store::CorpusFile corpus(options.out), aside(report.validation_path);
  corpus.verify();
  aside.verify();
  EXPECT_EQ(corpus.info().documents + aside.info().documents, 3);
  std::size_t found = 0;
  for (const std::string& one : {text, std::string("short"), other}) {
    Ids want = tokenizer->encode(one);
    want.push_back(options.end_token);
    for (const store::CorpusFile* file : {&corpus, &aside}) {
      Ids ids(want.size());
      for (std::int64_t i = 0; i < file->info().documents; ++i) {
        const auto range = file->document_offsets(i, 2);
        if (range[1] - range[0] != static_cast<std::int64_t>(want.size())) continue;
        file->read_tokens(range[0], ids);
        if (ids != want) continue;
        EXPECT_EQ(file->document_hashes(i, 1)[0], store::hash_document(one));
        EXPECT_EQ(is_validation(store::hash_document(one), 0.5), file == &aside);
        ++found;
      }
    }
  }
  EXPECT_EQ(found, 3U);
}

TEST_F(LongDocuments, TrainTheSameTokenizer) {
  const std::string text = mixture(7, 3000);
  TokenizerTrainer whole, pieces;
  whole.add(text);
  std::string held;
  for (std::string_view rest(text); !rest.empty();) {
    const std::size_t end = cut_between_characters(rest, 100);
    held += rest.substr(0, end);
    rest.remove_prefix(end);
    if (!rest.empty()) held.erase(0, pieces.add_front(held));
  }
  pieces.add(held);
  EXPECT_EQ(whole.train(300).tokens, pieces.train(300).tokens);
}

}  // namespace
}  // namespace rw::data
