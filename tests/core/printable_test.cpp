// Part of Ropewalk, MIT licence.
#include "core/printable.h"

#include <gtest/gtest.h>

namespace rw::core {
namespace {

TEST(PrintableTest, PlainTextOfAnyLanguageStays) {
  for (const char* text :
       {"", "model.hidden_size: 64", "über · 走れ · 🪢", "a\tb\nc", "\\x1b"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(PrintableTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(printable("\x1b[31mred\x1b]0;title\x07"), "\\x1b[31mred\\x1b]0;title\\x07");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("over\rwritten\x7f\b"), "over\\x0dwritten\\x7f\\x08");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m \xc2\x80 \xc2\xa0"),
            "\\u009b31m \\u0080 \xc2\xa0");
}

TEST(PrintableTest, ControlsOfWritingDirectionAreEscaped) {
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8f"),
            "a\\u202eb\\u202a\\u2066\\u2069\\u200f");
  EXPECT_EQ(printable("\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"),
            "\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa");  // neighbours
}

TEST(PrintableTest, BytesThatAreNoUtf8AreEscapedOneByOne) {
  EXPECT_EQ(printable("a\xff"
                      "b\x9b"),
            "a\\xffb\\x9b");
  EXPECT_EQ(printable("\xe2\x80"), "\\xe2\\x80");           // cut
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");           // too long
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xe0\x9b"
                      "x"),
            "\\xe0\\x9bx");
}

TEST(PrintableTest, OnOneLineNewlinesAndTabsAreEscapedToo) {
  EXPECT_EQ(printable_line("a\nb\tc\r\n"), "a\\nb\\tc\\x0d\\n");
}

}  // namespace
}  // namespace rw::core
