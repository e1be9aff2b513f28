// Part of Ropewalk, MIT licence.
#include "data/builder.h"

#include <zlib.h>

#include "data/fixtures.h"
#include "store/corpus_file.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using testing::Folder;
using testing::message_of;
using Ids = std::vector<std::int32_t>;

BuildOptions options_for(const std::string& out, std::vector<std::string> files) {
  BuildOptions options;
  options.out = out;
  options.files = std::move(files);
  options.tokenizer_name = "bytes";
  options.end_token = 256;
  return options;
}

Ids tokens_of(const std::string& path) {
  const store::CorpusFile corpus(path);
  corpus.verify();
  Ids ids(static_cast<std::size_t>(corpus.info().tokens));
  corpus.read_tokens(0, ids);
  return ids;
}

/// JSONL of `count` different texts.
std::string many_lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
  }
  return lines;
}

std::string gzip(const Folder& folder, const std::string& text) {
  const std::string path = folder / "one.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return testing::read_bytes(path);
}

class Builder : public ::testing::Test {
 protected:
  Folder folder_;
  std::unique_ptr<Tokenizer> bytes_ = load_tokenizer("bytes");
  std::unique_ptr<Tokenizer> bpe_ = load_tokenizer(testing::golden("gpt2.json"));
};

TEST_F(Builder, ATextFileIsADocument) {
  const auto a = folder_.write("a.txt", "ab");
  const auto b = folder_.write("b.txt", "c\n");
  const auto report = build_corpus(*bytes_, options_for(folder_ / "c.h5", {b, a}));
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'c', '\n', 256, 'a', 'b', 256}));
  EXPECT_EQ(report.corpus.documents, 2);
  EXPECT_EQ(report.corpus.text_bytes, 4);
  EXPECT_EQ(report.files, 2);
}

TEST_F(Builder, AFolderIsItsFilesByName) {
  folder_.write("in/b.txt", "B");
  folder_.write("in/a/z.txt", "Z");
  folder_.write("in/a.jsonl", "{\"text\": \"J\"}\n");
  folder_.write("in/.hidden", "H");
  folder_.write("in/.git/x", "X");
  build_corpus(*bytes_, options_for(folder_ / "c.h5", {folder_ / "in"}));
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'J', 256, 'Z', 256, 'B', 256}));
}

TEST_F(Builder, TheOutputIsNotAnInput) {
  folder_.write("in/a.txt", "A");
  for (int round = 0; round < 2; ++round) {
    build_corpus(*bytes_, options_for(folder_ / "in/c.h5", {folder_ / "in"}));
    EXPECT_EQ(tokens_of(folder_ / "in/c.h5"), (Ids{'A', 256}));
  }
  const auto path = folder_ / "in/a.txt";
  const auto message =
      message_of(ErrorKind::kUsage, [&] { build_corpus(*bytes_, options_for(path, {path})); });
  EXPECT_NE(message.find("also an input"), std::string::npos) << message;
}

TEST_F(Builder, JsonlGivesADocumentPerLine) {
  const auto path = folder_.write(
      "a.jsonl",
      "{\"text\": \"a\\n\"}\r\n\n  \n{\"text\": \"\"}\n{\"id\": 1, \"text\": \"\\u00e9\"}");
  build_corpus(*bytes_, options_for(folder_ / "c.h5", {path}));
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'a', '\n', 256, 256, 0xc3, 0xa9, 256}));
  const store::CorpusFile corpus(folder_ / "c.h5");
  EXPECT_EQ(corpus.document_offsets(0, 4), (std::vector<std::int64_t>{0, 3, 4, 7}));
  EXPECT_EQ(corpus.document_hashes(0, 1)[0], store::hash_document("a\n"));
}

TEST_F(Builder, JsonlFieldCanBeNamed) {
  const auto path = folder_.write("a.jsonl", "{\"body\": \"b\"}\n");
  auto options = options_for(folder_ / "c.h5", {path});
  options.text.jsonl_field = "body";
  build_corpus(*bytes_, options);
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'b', 256}));
}

TEST_F(Builder, BrokenJsonlIsNamedByLine) {
  const std::vector<std::pair<std::string, std::string>> lines{
      {"{\"text\": ", "a.jsonl:2:10: got"},
      {"[1]", "got a JSON array"},
      {"{\"txt\": \"a\"}", "no field `text`"},
      {"{\"text\": 7}", "is a number"}};
  for (const auto& [line, what] : lines) {
    const auto path = folder_.write("a.jsonl", "{\"text\": \"good\"}\n" + line + "\n");
    const auto message = message_of(ErrorKind::kDataMalformed, [&] {
      build_corpus(*bytes_, options_for(folder_ / "c.h5", {path}));
    });
    EXPECT_NE(message.find("a.jsonl:2:"), std::string::npos) << message;
    EXPECT_NE(message.find(what), std::string::npos) << message;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "c.h5"));
  }
}

TEST_F(Builder, GzipIsUnpacked) {
  const auto text = folder_.write("a.txt.gz", gzip(folder_, "zipped"));
  const auto lines =
      folder_.write("b.jsonl.gz", gzip(folder_, "{\"text\": \"x\"}\n{\"text\": \"y\"}\n"));
  build_corpus(*bytes_, options_for(folder_ / "c.h5", {text, lines}));
  EXPECT_EQ(bytes_->decode(tokens_of(folder_ / "c.h5")),
            "zipped<|endoftext|>x<|endoftext|>y<|endoftext|>");
}

TEST_F(Builder, CutGzipIsAnError) {
  std::string whole = gzip(folder_, many_lines(2000));
  const auto path = folder_.write("a.gz", whole.substr(0, whole.size() / 2));
  const auto message = message_of(ErrorKind::kDataMalformed, [&] {
    build_corpus(*bytes_, options_for(folder_ / "c.h5", {path}));
  });
  EXPECT_NE(message.find("a.gz: the file ends inside of a gzip member at byte "), std::string::npos)
      << message;
}

TEST_F(Builder, InvalidUtf8IsNamedByFileAndByte) {
  const auto path = folder_.write("a.txt", "good \xff bad");
  const auto message = message_of(ErrorKind::kDataMalformed, [&] {
    build_corpus(*bpe_, options_for(folder_ / "c.h5", {path}));
  });
  EXPECT_NE(message.find("a.txt: invalid UTF-8 at byte 5"), std::string::npos) << message;
}

TEST_F(Builder, InvalidUtf8InJsonlIsCountedFromTheFilesBegin) {
  const auto path = folder_.write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xe9\"}\n");
  const auto message = message_of(ErrorKind::kDataMalformed, [&] {
    build_corpus(*bytes_, options_for(folder_ / "c.h5", {path}));
  });
  EXPECT_NE(message.find("at byte 24"), std::string::npos) << message;
}

TEST_F(Builder, HalfOfASurrogatePairSaysWhatToTry) {
  auto options = options_for(folder_ / "c.h5", {});
  for (const char* half : {"\\ud83d", "\\ude42"}) {
    const auto path = folder_.write(
        "a.jsonl", std::string("{\"text\": \"\\ud83d\\ude42\"}\n{\"text\": \"") + half + "\"}\n");
    options.files = {path};
    const auto message =
        message_of(ErrorKind::kDataMalformed, [&] { build_corpus(*bytes_, options); });
    EXPECT_NE(message.find("got half of a surrogate pair"), std::string::npos) << message;
    EXPECT_NE(message.find("--invalid replace"), std::string::npos) << message;
  }
  // Replacing would not mend the rest of this line.
  folder_.write("a.jsonl", "{\"text\": \"\\ud83d\"\n");
  const auto message =
      message_of(ErrorKind::kDataMalformed, [&] { build_corpus(*bytes_, options); });
  EXPECT_EQ(message.find("--invalid"), std::string::npos) << message;
  folder_.write("a.jsonl", "{\"text\": \"\\ud83d\"}\n");
  options.text.replace_invalid = true;
  EXPECT_EQ(build_corpus(*bytes_, options).replaced, 1);
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{0xef, 0xbf, 0xbd, 256}));
}

TEST_F(Builder, InvalidUtf8CanBeReplaced) {
  const auto path = folder_.write("a.txt", "a\xff\xff");
  auto options = options_for(folder_ / "c.h5", {path});
  options.end_token = *bpe_->token_id("<|endoftext|>");
  options.text.replace_invalid = true;
  EXPECT_EQ(build_corpus(*bpe_, options).replaced, 2);
  EXPECT_EQ(bpe_->decode(tokens_of(folder_ / "c.h5")), "a\xef\xbf\xbd\xef\xbf\xbd<|endoftext|>");
}

TEST_F(Builder, TheBytesTokenizerTakesAnyBytes) {
  const auto path = folder_.write("a.bin", "a\xff");
  auto options = options_for(folder_ / "c.h5", {path});
  options.text.any_bytes = true;
  build_corpus(*bytes_, options);
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'a', 255, 256}));
}

TEST_F(Builder, MissingAndEmptyInputs) {
  auto message = message_of(ErrorKind::kDataMissing, [&] {
    build_corpus(*bytes_, options_for(folder_ / "c.h5", {folder_ / "none.txt"}));
  });
  EXPECT_NE(message.find("none.txt: no such file"), std::string::npos) << message;
  const auto empty = folder_.write("empty.txt", "");
  message = message_of(ErrorKind::kDataMissing,
                       [&] { build_corpus(*bytes_, options_for(folder_ / "c.h5", {empty})); });
  EXPECT_NE(message.find("no text"), std::string::npos) << message;
  std::filesystem::create_directory(folder_ / "hollow");
  message = message_of(ErrorKind::kDataMissing, [&] {
    build_corpus(*bytes_, options_for(folder_ / "c.h5", {folder_ / "hollow"}));
  });
  EXPECT_NE(message.find("holds no file"), std::string::npos) << message;
}

TEST_F(Builder, DuplicatesCanBeLeftOut) {
  const auto path =
      folder_.write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\": \"a\"}\n");
  auto options = options_for(folder_ / "c.h5", {path});
  EXPECT_EQ(build_corpus(*bytes_, options).corpus.documents, 3);
  options.deduplicate = true;
  EXPECT_EQ(build_corpus(*bytes_, options).duplicates, 1);
  EXPECT_EQ(tokens_of(folder_ / "c.h5"), (Ids{'a', 256, 'b', 256}));
}

TEST_F(Builder, ThreadsDoNotChangeTheBytes) {
  const auto path = folder_.write("a.jsonl", many_lines(500));
  std::string first;
  for (const int threads : {1, 2, 7}) {
    auto options = options_for(folder_ / "c.h5", {path});
    options.end_token = *bpe_->token_id("<|endoftext|>");
    options.threads = threads;
    build_corpus(*bpe_, options);
    const auto bytes = testing::read_bytes(folder_ / "c.h5");
    if (first.empty()) first = bytes;
    EXPECT_EQ(bytes == first, true) << threads << " threads";
  }
  EXPECT_GT(first.size(), 4000U);
}

TEST_F(Builder, ValidationDocumentsAreSetAsideByHash) {
  const auto path = folder_.write("a.jsonl", many_lines(2000));
  auto options = options_for(folder_ / "c.h5", {path});
  options.validation_share = 0.1;
  const auto report = build_corpus(*bytes_, options);
  EXPECT_EQ(report.validation_path, folder_ / "c.validation.h5");
  ASSERT_TRUE(report.validation.has_value());
  EXPECT_EQ(report.corpus.documents + report.validation->documents, 2000);
  EXPECT_NEAR(static_cast<double>(report.validation->documents), 200, 60);  // 4.5 sigma
  const store::CorpusFile corpus(folder_ / "c.h5"), validation(report.validation_path);
  for (const auto hash : corpus.document_hashes(0, corpus.info().documents)) {
    EXPECT_FALSE(is_validation(hash, 0.1));
  }
  for (const auto hash : validation.document_hashes(0, validation.info().documents)) {
    EXPECT_TRUE(is_validation(hash, 0.1));
  }
}

TEST_F(Builder, AShareOfOneDocumentIsRefused) {
  const auto path = folder_.write("a.txt", "only one");
  auto options = options_for(folder_ / "c.h5", {path});
  options.validation_share = 0.5;
  const auto message = message_of(ErrorKind::kUsage, [&] { build_corpus(*bytes_, options); });
  EXPECT_NE(message.find("--validation-share 0.5"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "c.h5"));
}

TEST(ValidationShare, IsAUniformThreshold) {
  EXPECT_TRUE(is_validation(0, 1e-9));
  EXPECT_FALSE(is_validation(0, 0));
  EXPECT_TRUE(is_validation(0x7fffffffffffffffULL, 0.5));
  EXPECT_FALSE(is_validation(0x8000000000000000ULL, 0.5));
  EXPECT_EQ(validation_path("d/c.h5"), "d/c.validation.h5");
}

}  // namespace
}  // namespace rw::data
