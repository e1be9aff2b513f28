// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "data/text_normalizer.h"
#include "data/text_source_utf8.h"

namespace rw::data {
namespace {

std::string nfc(std::string_view text) { return normalized(text, NormalForm::kNfc); }

constexpr std::size_t kNone = std::string_view::npos;

TEST(Utf8, PlainTextIsValid) {
  EXPECT_EQ(find_invalid_utf8(""), kNone);
  EXPECT_EQ(find_invalid_utf8("hello, rope walk of some length"), kNone);
  EXPECT_EQ(find_invalid_utf8("caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82"), kNone);
}

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(find_invalid_utf8("abc\xff"), 3U);
  EXPECT_EQ(find_invalid_utf8("0123456789abcdef\x80xyz"), 16U);
  EXPECT_EQ(find_invalid_utf8("\xff then \xff", 1), 7U);
}

TEST(Utf8, RefusesOverlongForms) {
  EXPECT_EQ(find_invalid_utf8("\xc0\x80"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xc1\xbf"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xe0\x9f\xbf"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xf0\x8f\xbf\xbf"), 0U);
}

TEST(Utf8, RefusesSurrogatesAndWhatIsAboveUnicode) {
  EXPECT_EQ(find_invalid_utf8("x\xed\xa0\x80"), 1U);
  EXPECT_EQ(find_invalid_utf8("\xed\x9f\xbf"), kNone);      // U+D7FF
  EXPECT_EQ(find_invalid_utf8("\xf4\x8f\xbf\xbf"), kNone);  // U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xf4\x90\x80\x80"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xf5\x80\x80\x80"), 0U);
}

TEST(Utf8, RefusesCutSequences) {
  EXPECT_EQ(find_invalid_utf8("ab\xe6\x97"), 2U);
  EXPECT_EQ(find_invalid_utf8("\xf0\x9f\x99 "), 0U);
}

TEST(Utf8, ReplacesMaximalPartsAsPythonDoes) {
  // The example of the Unicode standard, section 3.9, tables 3-8 and 3-11.
  std::int64_t count = 0;
  EXPECT_EQ(replace_invalid_utf8("\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", count),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
            "b\xef\xbf\xbd"
            "c\xef\xbf\xbd\xef\xbf\xbd"
            "d");
  EXPECT_EQ(count, 6);
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf", count), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(count, 8);
}

TEST(Utf8, ReadsCodePoints) {
  EXPECT_EQ(code_point_at("a", 0).value, U'a');
  EXPECT_EQ(code_point_at("\xc3\xa9", 0).value, U'\u00e9');
  EXPECT_EQ(code_point_at("\xe6\x97\xa5", 0).value, U'\u65e5');
  EXPECT_EQ(code_point_at("x\xf0\x9f\x99\x82", 1).value, U'\U0001f642');
  EXPECT_EQ(code_point_at("x\xf0\x9f\x99\x82", 1).bytes, 4U);
}

TEST(Utf8, HalvesOfSurrogatePairsInJson) {
  std::int64_t count = 0;
  const auto replaced = [&](const char* json) { return replace_lone_surrogates(json, count); };
  const std::vector<std::string> whole = {R"("\ud83d\uDE42")", R"("\\ud83d \u0041 \n")", R"("a\)",
                                          R"("\u12)", "no escape"};
  for (const auto& json : whole) EXPECT_EQ(replaced(json.c_str()), json);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(replaced(R"("\ud83d")"), R"("\ufffd")");
  EXPECT_EQ(replaced(R"("\ude42\ud83d\u0041\ud83d\ud83d\ude42")"),
            R"("\ufffd\ufffd\u0041\ufffd\ud83d\ude42")");
  EXPECT_EQ(count, 4);
}

TEST(Nfc, ComposesAndReorders) {
  EXPECT_EQ(nfc("cafe\xcc\x81"), "caf\xc3\xa9");
  // q, dot above, dot below: the dot below (class 220) goes before the dot above (230).
  EXPECT_EQ(nfc("q\xcc\x87\xcc\xa3"), "q\xcc\xa3\xcc\x87");
  EXPECT_EQ(nfc("\xe2\x84\xab"), "\xc3\x85");  // the Angstrom sign
  EXPECT_EQ(nfc(std::string("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Nfc, TextOfManyPiecesIsComposedWhole) {
  std::string from, to;
  for (int i = 0; i < 50000; ++i) {
    from += "e\xcc\x81";
    to += "\xc3\xa9";
  }
  EXPECT_EQ(nfc(from), to);
}

TEST(Nfc, MarksYoungerThanUnicode9StandStill) {
  // U+07FD has class 220 since Unicode 11; U+0315 (232) would stay behind it, and not before.
  EXPECT_EQ(nfc("x\xcc\x95\xdf\xbd"), "x\xcc\x95\xdf\xbd");
}

}  // namespace
}  // namespace rw::data
