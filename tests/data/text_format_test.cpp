// Part of Ropewalk, MIT licence.
#include "data/text_format.h"

#include "data/fixtures.h"
#include "data/text_source.h"
#include "data/text_source_utf8.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using testing::Folder;
using testing::message_of;
using namespace std::string_literals;

/// "héllo wörld, …" at `width` bytes a character.
std::string wide(std::size_t width, bool big_endian) {
  std::string out;
  for (const char c : "plain words, and more of them\n"s) {
    std::string unit(width, '\0');
    unit[big_endian ? width - 1 : 0] = c;
    out += unit;
  }
  return out;
}

class TextFormat : public ::testing::Test {
 protected:
  std::vector<std::string> texts(const std::string& name, const std::string& bytes,
                                 const TextRules& rules = {}) const {
    TextSource source({list_text_files({folder_.write(name, bytes)}, {})}, rules);
    std::vector<std::string> out;
    std::int64_t replaced = 0;
    while (auto document = source.next()) {
      out.push_back(document_text(std::move(*document), rules, replaced));
    }
    return out;
  }
  Folder folder_;
};

TEST_F(TextFormat, ContainersAndEncodingsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"\x28\xb5\x2f\xfd rest", "zstd"},
      {"\x5a*M\x18 rest", "zstd"},
      {"BZh9\x31\x41\x59\x26\x53\x59 rest", "bzip2"},
      {"\xfd"
       "7zXZ\0rest"s,
       "xz"},
      {"PK\x03\x04rest", "zip"},
      {"PAR1rest", "parquet"},
      {"\x89HDF\r\n\x1a\nrest", "HDF5"},
      {"ARROW1\0\0rest"s, "arrow"},
      {"\x1f\x8b\x08rest", "gzip inside of gzip"},
      {"%PDF-1.7", "PDF"},
      {"\xff\xfe" + wide(2, false), "UTF-16"},
      {"\xfe\xff" + wide(2, true), "UTF-16"},
      {"\xff\xfe\0\0"s + wide(4, false), "UTF-32"},
      {"\0\0\xfe\xff"s + wide(4, true), "UTF-32"},
      {wide(2, false), "UTF-16LE without"},
      {wide(2, true), "UTF-16BE without"},
      {wide(4, false), "UTF-32LE without"},
      {wide(4, true), "UTF-32BE without"},
      {"[{\"text\": 1}, {\"text\": 2}]", "a JSON array"},
      {"\xef\xbb\xbf\n [\n  {\n  \"text\"", "a JSON array"},
      {"[\"one, \\\"two\\\"\",\n \"three\"]", "a JSON array"}};
  for (const auto& [bytes, name] : wrong) {
    const auto message = message_of(ErrorKind::kDataMalformed, [&, &bytes = bytes] {
      refuse_no_text("f.txt", bytes, JsonArrays::kNotOfDocuments);
    });
    EXPECT_NE(message.find("f.txt: its first bytes are those of " + name), std::string::npos)
        << message << " for " << name;
  }
}

TEST_F(TextFormat, TextIsLeftAlone) {
  for (const std::string& text :
       {""s, "a"s, "[Chapter 1]\nIt"s, "[\"Hello,\" he said."s, "[1, 2, 3]"s, "BZhou"s, "PKZIP"s,
        "\xef\xbb\xbfmarked"s, "{\"a\": 1}"s, "[]"s, "Rar!"s, "a\0b"s}) {
    EXPECT_NO_THROW(refuse_no_text("f.txt", text, JsonArrays::kNotOfDocuments)) << text;
  }
  message_of(ErrorKind::kDataMalformed,
             [] { refuse_no_text("f.json", "[1, 2]", JsonArrays::kAreRefused); });
  EXPECT_NO_THROW(refuse_no_text("f.json", "[{\"a\": 1}]", JsonArrays::kAreText));
}

TEST_F(TextFormat, ANulByteIsNamedByItsPlaceUnlessAnyBytesAreMeant) {
  const std::string far = std::string(70000, 'x') + '\0' + "y";
  TextRules rules;
  rules.piece_bytes = 1000;
  const auto message = message_of(ErrorKind::kDataMalformed, [&] { texts("a.txt", far, rules); });
  EXPECT_NE(message.find("a NUL byte at byte 70000"), std::string::npos) << message;
  rules.raw = true;
  EXPECT_EQ(texts("b.txt", "a\0b"s, rules), (std::vector<std::string>{"a\0b"s}));
  rules.any_bytes = true;
  EXPECT_EQ(texts("c.zst", "\x28\xb5\x2f\xfd", rules).size(), 1U);
  const auto escaped = message_of(ErrorKind::kDataMalformed,
                                  [&] { texts("d.jsonl", "{\"text\": \"a\\u0000b\"}\n"); });
  EXPECT_NE(escaped.find("d.jsonl:1: field `text` holds a NUL byte at byte 1"), std::string::npos)
      << escaped;
  EXPECT_EQ(texts("d.jsonl", "{\"text\": \"a\\u0000b\"}\n", rules).front(), "a\0b"s);
}

TEST_F(TextFormat, JsonLinesThatAreNamedJsonAreLines) {
  const std::string two = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  EXPECT_EQ(texts("a.json", two), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(texts("a.ndjson", two), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(texts("a.txt", two), (std::vector<std::string>{two}));
  const std::string one = "{\"text\": \"one\"}\n";
  const std::string pretty = "{\n  \"text\": \"one\"\n}\n";
  EXPECT_EQ(texts("b.json", one), (std::vector<std::string>{one}));
  EXPECT_EQ(texts("c.json", pretty), (std::vector<std::string>{pretty}));
  const std::string padded = "{\"text\": \"" + std::string(1 << 20, 'x') + "\"}\n" + two;
  EXPECT_EQ(texts("d.json", padded).size(), 3U);
  TextRules rules;
  rules.raw = true;
  EXPECT_EQ(texts("a.json", two, rules), (std::vector<std::string>{two}));
}

TEST_F(TextFormat, AJsonArrayNamedJsonIsRefusedAndOneTextIsNot) {
  for (const char* name : {"a.json", "a.jsonl"}) {
    message_of(ErrorKind::kDataMalformed, [&] { texts(name, "[\n1]"); });
    EXPECT_EQ(read_text_file(folder_ / name, {}), "[\n1]");
  }
}

TEST_F(TextFormat, ALineWithoutEndIsNoDocument) {
  const std::string line = "{\"text\": \"" + std::string(kMostLineBytes, 'x') + "\"}\n";
  const auto message = message_of(ErrorKind::kDataMalformed, [&] {
    texts("a.jsonl", "{\"text\": \"ok\"}\n" + line + "{\"text\": \"more\"}\n");
  });
  EXPECT_NE(message.find("a.jsonl:2: got a line of more than 67108864 bytes"), std::string::npos)
      << message;
}

TEST_F(TextFormat, LongTextComesInPiecesOfWholeCharacters) {
  TextRules rules;
  rules.piece_bytes = 1000;
  std::string text;
  while (text.size() < 2000) text += "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  for (std::size_t shift = 0; shift < 11; ++shift) {
    std::string joined;
    const auto pieces = texts("a.txt", std::string(shift, '.') + text, rules);
    EXPECT_GE(pieces.size(), 2U);
    for (const auto& piece : pieces) {
      EXPECT_EQ(find_invalid_utf8(piece), std::string::npos);
      joined += piece;
    }
    EXPECT_EQ(joined, std::string(shift, '.') + text);
  }
}

TEST_F(TextFormat, PiecesChangeNoReplacement) {
  TextRules rules;
  rules.replace_invalid = true;
  rules.piece_bytes = 100;
  for (const std::string& bad : {"\xe2\x82"s, "\xf0\x9f\x98"s, "\xff\xfe"s, "\xe2\x82\xac"s}) {
    for (std::size_t before = 97; before <= 100; ++before) {
      const std::string text = std::string(before, 'x') + bad + "y";
      std::int64_t ignored = 0;
      std::string joined;
      for (const auto& piece : texts("a.txt", text, rules)) joined += piece;
      EXPECT_EQ(joined, replace_invalid_utf8(text, ignored)) << before;
    }
  }
}

}  // namespace
}  // namespace rw::data
