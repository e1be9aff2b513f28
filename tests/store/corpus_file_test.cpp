// Part of Ropewalk, MIT licence.
#include "store/corpus_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "core/error.h"
#include "store/corpus_file_writer.h"
#include "store/faulty.h"
#include "store/memory.h"
#include "store/sha256.h"
#include "support/sanitized.h"

namespace rw::store {
namespace {

using core::ErrorKind;
using Ids = std::vector<std::int32_t>;
namespace fs = std::filesystem;

std::string message_of(ErrorKind kind, const std::function<void()>& body) {
  try {
    body();
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

class CorpusFileTest : public ::testing::Test {
 protected:
  CorpusFileTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("rw_corpus_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = (folder_ / "c.h5").string();
  }
  ~CorpusFileTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  CorpusInfo write(std::int64_t vocab_size = 300) const {
    CorpusWriter writer(path_, {vocab_size, 256, "small", "{\"json\": 1}"});
    writer.add(Ids{1, 2, 256}, hash_document("one"), 3);
    writer.add(Ids{256}, hash_document(""), 0);
    writer.add(Ids{static_cast<std::int32_t>(vocab_size) - 1, 256}, hash_document("x"), 1);
    return writer.finish();
  }

  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  void replace(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(CorpusFileTest, HoldsWhatWasWritten) {
  const auto written = write();
  const CorpusFile file(path_);
  file.verify();
  EXPECT_EQ(file.info().tokens, 6);
  EXPECT_EQ(file.info().documents, 3);
  EXPECT_EQ(file.info().token_bytes, 2);
  EXPECT_EQ(file.info().vocab_size, 300);
  EXPECT_EQ(file.info().end_of_text, 256);
  EXPECT_EQ(file.info().text_bytes, 4);
  EXPECT_EQ(file.info().tokenizer_name, "small");
  EXPECT_EQ(file.info().content_sha256, written.content_sha256);
  EXPECT_EQ(file.info().tokenizer_sha256, sha256_hex("{\"json\": 1}"));
  EXPECT_EQ(file.tokenizer_json(), "{\"json\": 1}");
  Ids ids(6);
  file.read_tokens(0, ids);
  EXPECT_EQ(ids, (Ids{1, 2, 256, 256, 299, 256}));
  Ids part(2);
  file.read_tokens(4, part);
  EXPECT_EQ(part, (Ids{299, 256}));
}

TEST_F(CorpusFileTest, KnowsItsDocuments) {
  write();
  const CorpusFile file(path_);
  EXPECT_EQ(file.document_offsets(0, 4), (std::vector<std::int64_t>{0, 3, 4, 6}));
  EXPECT_EQ(file.document_offsets(2, 1), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(
      file.document_hashes(0, 3),
      (std::vector<std::uint64_t>{hash_document("one"), hash_document(""), hash_document("x")}));
}

TEST_F(CorpusFileTest, WideVocabulariesTakeFourBytes) {
  write(65536);
  EXPECT_EQ(CorpusFile(path_).info().token_bytes, 2);
  write(65537);
  const CorpusFile file(path_);
  EXPECT_EQ(file.info().token_bytes, 4);
  Ids ids(1);
  file.read_tokens(4, ids);
  EXPECT_EQ(ids, (Ids{65536}));
  file.verify();
}

TEST_F(CorpusFileTest, ContentDigestIsThatOfTheArrays) {
  const auto info = write();
  std::string stored;
  for (const int id : {1, 2, 256, 256, 299, 256}) {
    stored += static_cast<char>(id & 255);
    stored += static_cast<char>(id >> 8);
  }
  for (const int offset : {0, 3, 4, 6}) {
    stored += static_cast<char>(offset);
    stored += std::string(7, '\0');
  }
  EXPECT_EQ(info.content_sha256, sha256_hex(stored));
}

TEST_F(CorpusFileTest, SameDocumentsSameBytes) {
  write();
  const auto first = bytes();
  write();
  EXPECT_TRUE(bytes() == first);
}

TEST_F(CorpusFileTest, AppearsOnlyWhenFinished) {
  {
    CorpusWriter writer(path_, {300, 256, "small", "{}"});
    writer.add(Ids{1, 256}, 1, 1);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CorpusFileTest, WriterRefusesWhatCannotBe) {
  CorpusWriter writer(path_, {300, 256, "small", "{}"});
  message_of(ErrorKind::kBug, [&] { writer.finish(); });
  const auto message = message_of(ErrorKind::kBug, [&] { writer.add(Ids{300}, 1, 1); });
  EXPECT_NE(message.find("id 300"), std::string::npos) << message;
}

TEST_F(CorpusFileTest, WriterNamesAFolderThatIsNotThere) {
  const auto message = message_of(ErrorKind::kStorage, [&] {
    CorpusWriter((folder_ / "no/c.h5").string(), {300, 256, "small", "{}"});
  });
  EXPECT_NE(message.find("no/c.h5"), std::string::npos) << message;
}

/// Every write, sync and rename in turn finds the disk full: an error each time, and nothing left.
TEST_F(CorpusFileTest, AFullDiskIsAnErrorWhereverItFills) {
  int failures = 0;
  for (const Call call : {Call::kCreate, Call::kWrite, Call::kSync, Call::kClose, Call::kRename}) {
    for (int number = 1;; ++number) {
      const auto memory = make_memory();
      Faulty faulty(*memory);
      faulty.set({call, number, Fault::What::kShortWrite, ENOSPC, true});
      try {
        CorpusWriter writer(faulty, "c.h5", {300, 256, "small", "{\"json\": 1}"});
        for (int i = 0; i < 3; ++i) writer.add(Ids(1 << 18, i), 7, 1);
        writer.finish();
      } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kStorage) << error.what();
      }
      if (!faulty.fired()) break;
      ++failures;
      EXPECT_TRUE(memory->list(".").empty()) << "call " << static_cast<int>(call) << " " << number;
    }
  }
  EXPECT_GT(failures, 10);
}

TEST_F(CorpusFileTest, TheSameBytesThroughAnyStore) {
  write();
  const auto memory = make_memory();
  CorpusWriter writer(*memory, "c.h5", {300, 256, "small", "{\"json\": 1}"});
  writer.append(Ids{1});
  writer.append(Ids{2, 256});
  writer.end_document(hash_document("one"), 3);
  writer.append(Ids(1 << 20, 5));
  writer.drop_document();
  writer.add(Ids{256}, hash_document(""), 0);
  writer.add(Ids{299, 256}, hash_document("x"), 1);
  writer.finish();
  EXPECT_TRUE(read_whole(*memory, "c.h5") == bytes());
}

TEST_F(CorpusFileTest, ADocumentGoesOverToAnotherCorpus) {
  const std::string other_path = path_ + ".other";
  CorpusWriter one(path_, {70000, 256, "small", "{}"});
  CorpusWriter other(other_path, {70000, 256, "small", "{}"});
  const Ids large(300000, 69999);  // more than a buffer
  one.add(Ids{1, 256}, 1, 1);
  other.add(Ids{2, 256}, 2, 1);
  one.append(large);
  one.append(Ids{256});
  one.give_document(other);
  other.end_document(3, 300000);
  one.add(Ids{4, 256}, 4, 1);
  EXPECT_EQ(one.finish().tokens, 4);
  EXPECT_EQ(other.finish().tokens, 300003);
  CorpusFile(path_).verify();
  const CorpusFile file(other_path);
  file.verify();
  EXPECT_EQ(file.document_offsets(0, 3), (std::vector<std::int64_t>{0, 2, 300003}));
  Ids ids(300003);
  file.read_tokens(0, ids);
  EXPECT_EQ(ids[2], 69999);
  EXPECT_EQ(ids[300002], 256);
}

TEST_F(CorpusFileTest, MissingAndEmptyFiles) {
  auto message = message_of(ErrorKind::kDataMissing, [&] { CorpusFile{path_}; });
  EXPECT_NE(message.find("no such file"), std::string::npos) << message;
  replace("");
  message = message_of(ErrorKind::kDataMissing, [&] { CorpusFile{path_}; });
  EXPECT_NE(message.find("0 bytes"), std::string::npos) << message;
}

TEST_F(CorpusFileTest, OtherFilesAreRefused) {
  replace("this is no corpus");
  auto message = message_of(ErrorKind::kDataMalformed, [&] { CorpusFile{path_}; });
  EXPECT_NE(message.find("not an HDF5 file"), std::string::npos) << message;
  message = message_of(ErrorKind::kDataMissing, [&] { CorpusFile{folder_.string()}; });
  EXPECT_NE(message.find("got a folder, want a regular file"), std::string::npos) << message;
}

TEST_F(CorpusFileTest, CutFilesAreRefused) {
  write();
  const auto whole = bytes();
  for (const std::size_t keep : {whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    replace(whole.substr(0, keep));
    message_of(ErrorKind::kDataMalformed, [&] { CorpusFile{path_}.verify(); });
  }
}

TEST_F(CorpusFileTest, VerifyFindsAChangedToken) {
  write();
  auto whole = bytes();
  const std::string tokens("\x01\x00\x02\x00\x00\x01\x00\x01", 8);
  const auto at = whole.find(tokens);
  ASSERT_NE(at, std::string::npos);
  whole[at] = 3;
  replace(whole);
  const CorpusFile file(path_);
  const auto message = message_of(ErrorKind::kDataMalformed, [&] { file.verify(); });
  EXPECT_NE(message.find("content_sha256"), std::string::npos) << message;
}

/// Flips a bit of every byte in turn: the corpus is refused, or says what it said. HDF5 1.10 reads
/// beyond its own buffers where some bytes of its headers are damaged, which sanitizers end the
/// program for: built with them, the bytes of the stored tokenizer alone.
TEST_F(CorpusFileTest, NoByteChangesWhatACorpusSays) {
  const auto written = write();
  const auto whole = bytes();
  int refused = 0;
  const std::string json = "{\"json\": 1}";
  const std::size_t begin = test::sanitized_or<std::size_t>(whole.find(json), 0);
  const std::size_t end = test::sanitized_or(begin + json.size(), whole.size());
  for (std::size_t at = begin; at < end; ++at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (at % 2 == 0 ? 1 : 0x40));
    replace(damaged);
    try {
      const CorpusFile file(path_);
      file.verify();
      EXPECT_EQ(file.info().attributes_sha256, written.attributes_sha256) << "byte " << at;
      EXPECT_EQ(file.info().end_of_text, 256) << "byte " << at;
      EXPECT_EQ(file.info().text_bytes, 4) << "byte " << at;
      EXPECT_EQ(file.info().tokenizer_name, "small") << "byte " << at;
      EXPECT_EQ(file.tokenizer_json(), "{\"json\": 1}") << "byte " << at;
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDataMalformed) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, test::sanitized_or(10, 500));
}

TEST_F(CorpusFileTest, ReadingRefusesIdsOutsideOfTheVocabulary) {
  write();
  auto whole = bytes();
  const auto at = whole.find(std::string("\x01\x00\x02\x00\x00\x01", 6));
  ASSERT_NE(at, std::string::npos);
  whole[at + 1] = 0x7f;
  replace(whole);
  const CorpusFile file(path_);
  Ids ids(2);
  const auto message = message_of(ErrorKind::kDataMalformed, [&] { file.read_tokens(0, ids); });
  EXPECT_NE(message.find("token id 32513"), std::string::npos) << message;
}

TEST_F(CorpusFileTest, RangesOutsideAreABug) {
  write();
  const CorpusFile file(path_);
  Ids ids(3);
  message_of(ErrorKind::kBug, [&] { file.read_tokens(4, ids); });
  message_of(ErrorKind::kBug, [&] { file.read_tokens(-1, ids); });
  message_of(ErrorKind::kBug, [&] { file.document_offsets(3, 2); });
  message_of(ErrorKind::kBug, [&] { file.document_hashes(3, 1); });
}

TEST(DocumentHash, TellsTextsApart) {
  EXPECT_EQ(hash_document(""), 0x2d06800538d394c2ULL);  // XXH3's own vector for no input
  EXPECT_NE(hash_document("a"), hash_document("b"));
  EXPECT_EQ(document_key("rope"), document_key("rope"));
  EXPECT_FALSE(document_key("rope") == document_key("ropes"));
}

}  // namespace
}  // namespace rw::store
