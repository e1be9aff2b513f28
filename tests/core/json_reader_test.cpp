// Part of Ropewalk, MIT licence.
#include "core/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/json_field.h"

namespace rw::core {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json read(const std::string& text) { return parse_json(text, {"a.json"}); }

std::string refusal(const std::string& text, const JsonSource& source = {"a.json"}) {
  try {
    parse_json(text, source);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), source.malformed);
    return error.what();
  }
  return "taken: " + text;
}

std::string nested(int depth, const std::string& open, const std::string& close,
                   const std::string& inner = "") {
  std::string out;
  for (int i = 0; i < depth; ++i) out += open;
  out += inner;
  for (int i = 0; i < depth; ++i) out += close;
  return out;
}

TEST(JsonReader, ReadsWhatTheLibraryReads) {
  for (const std::string text : {"0",
                                 "-0",
                                 "17",
                                 "-17",
                                 "18446744073709551615",
                                 "-9223372036854775808",
                                 "1.5",
                                 "-1e-3",
                                 "1E+5",
                                 "0.1",
                                 "5e-324",
                                 "1e-400",
                                 "1.7976931348623157e308",
                                 "true",
                                 "false",
                                 "null",
                                 R"("")",
                                 R"("a\"\\\/\b\f\n\r\tz")",
                                 R"("\u0041\u00e9\u20ac\ud83d\ude00")",
                                 "\"é€😀\"",
                                 "[]",
                                 "{}",
                                 " [ 1 , [ ] , { } , \"x\" ] ",
                                 R"({"b": 1, "a": {"c": [true, null]}, "": 0})",
                                 "\xef\xbb\xbf[1]",
                                 "\t\r\n3\n",
                                 "18446744073709551616",
                                 "1000000000000000019884624838656",
                                 "0.30000000000000004"}) {
    const Json want = Json::parse(text);
    const Json got = read(text);
    EXPECT_EQ(got, want) << text;
    EXPECT_EQ(got.dump(), want.dump()) << text;  // the types and the order too
    EXPECT_EQ(got.type(), want.type()) << text;
  }
}

TEST(JsonReader, TakesAndRefusesWhatTheLibraryDoes) {
  std::mt19937 random(7);
  const std::string alphabet = "{}[],:\"\\u0123eE+-. atrfn\n\x01\xc3\xa9";
  int taken = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string text;
    for (auto left = random() % 12; left > 0; --left) text += alphabet[random() % alphabet.size()];
    const Json want = Json::parse(text, nullptr, false);
    try {
      EXPECT_EQ(read(text).dump(), want.dump()) << text;
      ++taken;
    } catch (const Error& error) {
      EXPECT_TRUE(want.is_discarded()) << text << ": " << error.what();
    }
  }
  EXPECT_GT(taken, 300);
}

TEST(JsonReader, SaysWhereAndWhatInPlainWords) {
  EXPECT_EQ(refusal("{\n  \"a\": 1,\n  \"b\": x1}"), "a.json:3:8: got `x1`, want a JSON value");
  EXPECT_EQ(refusal(R"({"é": 1 "b": 2})"), R"(a.json:1:9: got `"`, want `,` or `}`)");
  EXPECT_EQ(refusal("[1, 2"), "a.json:1:6: got the end of the text, want `,` or `]`");
  EXPECT_EQ(refusal(""), "a.json:1:1: got an empty text, want a JSON value");
  EXPECT_EQ(refusal("[1,]"), "a.json:1:4: got `]`, want a JSON value");
  EXPECT_EQ(refusal("{\"a\": 1,}"), "a.json:1:9: got `}`, want a key in double quotes");
  EXPECT_EQ(refusal("{a: 1}"), "a.json:1:2: got `a`, want a key in double quotes");
  EXPECT_EQ(refusal("{\"a\" 1}"), "a.json:1:6: got `1`, want `:` behind the key");
  EXPECT_EQ(refusal("[NaN]"), "a.json:1:2: got `NaN`, want a JSON value");
  EXPECT_EQ(refusal("[True]"), "a.json:1:2: got `True`, want a JSON value");
  EXPECT_EQ(refusal("{} {}"), "a.json:1:4: got `{`, want nothing behind the value");
  EXPECT_THAT(refusal("[-]"), HasSubstr("a.json:1:3: got `]`, want a digit behind `-`"));
  EXPECT_THAT(refusal("[007]"), HasSubstr("a.json:1:2: got a number that begins with 0"));
  EXPECT_THAT(refusal("\"abc"), HasSubstr("a.json:1:1: got a string without an end"));
  EXPECT_THAT(refusal("[\"a\nb\"]"), HasSubstr("a.json:1:4: got a control character 0x0a"));
  EXPECT_THAT(refusal(R"(["\x"])"), HasSubstr("a.json:1:3: got an unknown escape"));
  EXPECT_THAT(refusal(R"(["\u12g4"])"), HasSubstr("a.json:1:3: got an incomplete escape"));
  EXPECT_THAT(refusal(R"("\ud83d")"), HasSubstr("got half of a surrogate pair, \\ud83d"));
  EXPECT_THAT(refusal(R"("\ud83d\u0041")"), HasSubstr("got half of a surrogate pair, \\ud83d"));
  EXPECT_THAT(refusal(R"("\ude00")"), HasSubstr("got half of a surrogate pair, \\ude00"));
  EXPECT_THAT(refusal("[1, \"\xff\"]"), HasSubstr("a.json:1:6: got byte 0xff, which is no UTF-8"));
  EXPECT_EQ(refusal(std::string("\0", 1)),
            "a.json:1:1: got a control character 0x00, want a JSON value");
  EXPECT_EQ(refusal("{\"a\": }", {"b.jsonl", 17, ErrorKind::kRecipe}),
            "b.jsonl:17:7: got `}`, want a JSON value");
}

TEST(JsonReader, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_EQ(refusal("[1e999]"),
            "a.json:1:2: got the number 1e999, want one whose size is at most 1.8e308");
  EXPECT_THAT(refusal("-1e999"), HasSubstr("got the number -1e999"));
  EXPECT_THAT(refusal(std::string(5000, '9')), HasSubstr("got the number 9999"));
  EXPECT_LT(refusal(std::string(5000, '9')).size(), 200U);
}

TEST(JsonReader, RefusesARepeatedKeyNamingBothPlaces) {
  EXPECT_EQ(refusal("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}"),
            "a.json:3:2: got the key \"a\" a second time (first at 1:2), want each key of an "
            "object once");
  EXPECT_THAT(refusal(R"([{"x": {"k": 0, "k": 0}}])"), HasSubstr("a.json:1:17: got the key \"k\""));
  EXPECT_THAT(refusal(R"({"a": 0, "\u0061": 0})"), HasSubstr("a second time"));
  EXPECT_EQ(read(R"({"a": {"a": 1}, "b": {"a": 1}})").size(), 2U);
}

TEST(JsonReader, NestsUpToALimit) {
  EXPECT_EQ(read(nested(kMostJsonDepth, "[", "]")).size(), 1U);
  EXPECT_NO_THROW(read(nested(kMostJsonDepth, "{\"a\":", "}", "1")));
  const std::string want = "nested more than 128 deep, want at most that depth";
  EXPECT_THAT(refusal(nested(kMostJsonDepth + 1, "[", "]")), HasSubstr("a.json:1:129: got lists"));
  EXPECT_THAT(refusal(nested(1000000, "[", "]")), HasSubstr(want));
  EXPECT_THAT(refusal(nested(1000000, "[", "")), HasSubstr(want));
  EXPECT_THAT(refusal(nested(300000, "{\"a\":", "}", "1")), HasSubstr(want));
  EXPECT_THAT(refusal(nested(300000, "[{\"a\":", "}]", "1")), HasSubstr(want));
}

TEST(JsonReader, TellsABeginningFromWhatIsWrong) {
  const std::string whole =
      R"({"step": 12, "on": [true, false, null], "t": "a\u00e9\ud83d\ude00é", "x": -1.5e-3})";
  const auto torn = [](const std::string& text) {
    return !parse_json_unless_torn(text, {"a.jsonl", 3}).has_value();
  };
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_TRUE(torn(whole.substr(0, bytes))) << whole.substr(0, bytes);
  }
  EXPECT_EQ(parse_json_unless_torn(whole, {"a.jsonl"})->at("step"), 12);
  for (const std::string wrong :
       {"{]", "{\"a\": nul}", "[1,]", "[\"\xff\", 1]", "{}}", "[1e999]"}) {
    EXPECT_THROW(torn(wrong), Error) << wrong;
    EXPECT_EQ(parse_json_if_whole(wrong), std::nullopt);
  }
  EXPECT_THROW(torn(nested(1000, "[", "")), Error);
  EXPECT_EQ(parse_json_if_whole("[1]"), Json::array({1}));
}

/// The library's own insertion into an ordered object needs minutes for this.
TEST(JsonReader, ReadsManyKeysInLinearTime) {
  std::string text = "{";
  constexpr int kKeys = 100000;
  for (int i = 0; i < kKeys; ++i)
    text += "\"x" + std::to_string(i) + "\": [" + std::to_string(i) + "], ";
  const Json all = read(text + "\"last\": 1}");
  EXPECT_EQ(all.size(), kKeys + 1U);
  EXPECT_EQ(all.begin().key(), "x0");
  EXPECT_THAT(refusal(text + "\"x7\": 1}"), HasSubstr("the key \"x7\" a second time (first at 1:"));
}

TEST(JsonField, NamesFileKeyGotAndWant) {
  const Json json = read(R"({"a": {"b": [1, "two", 3.5]}, "n": -1, "big": 18446744073709551615,
                             "none": null})");
  const JsonField root(json, "a.json");
  const auto message = [](const auto& ask) -> std::string {
    try {
      ask();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDataMalformed);
      return error.what();
    }
    return "taken";
  };
  const auto entries = root.at("a").at("b").list("numbers");
  EXPECT_EQ(entries[0].whole(0, 5), 1);
  EXPECT_EQ(entries[2].number(), 3.5);
  EXPECT_FALSE(root.has("none"));
  EXPECT_FALSE(root.has("absent"));
  EXPECT_EQ(message([&] { (void)entries[1].whole(0, 9); }),
            "a.json: a.b[1]: got \"two\", want a whole number from 0 to 9");
  EXPECT_EQ(message([&] { (void)entries[2].whole(0, 9); }),
            "a.json: a.b[2]: got 3.5, want a whole number from 0 to 9");
  EXPECT_EQ(message([&] { (void)root.at("n").whole(0, 9); }),
            "a.json: n: got -1, want a whole number from 0 to 9");
  EXPECT_THAT(message([&] { (void)root.at("big").whole(0, 9); }),
              HasSubstr("18446744073709551615"));
  EXPECT_EQ(message([&] { (void)root.at("a").flag(); }),
            "a.json: a: got {\"b\":[1,\"two\",3.5]}, want true or false");
  EXPECT_EQ(message([&] { (void)root.at("x"); }), "a.json: got no `x`, want this key");
  EXPECT_EQ(message([&] { (void)root.at("n").at("x"); }),
            "a.json: n: got -1, want an object with `x`");
  EXPECT_EQ(message([&] { (void)root.at("a").at("b").list("numbers", 2); }),
            "a.json: a.b: got 3 entries, want 2 numbers");
  EXPECT_EQ(message([&] { (void)root.at("n").number(0, 1); }),
            "a.json: n: got -1, want a number from 0 up to 1");
  EXPECT_EQ(message([&] { (void)root.at("n").text(); }), "a.json: n: got -1, want a string");
}

TEST(JsonField, ShowsNoMoreThanALine) {
  EXPECT_EQ(shown_json(Json(std::vector<int>(100000, 7))), "a list of 100000 entries");
  EXPECT_LT(shown_json(Json(std::string(1000000, 'x'))).size(), 70U);
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "é";
  EXPECT_EQ(shown_json(Json(wide)).substr(0, 3), "\"é");
  EXPECT_EQ(shown_json(Json("a\x1b[31m")), "\"a\\u001b[31m\"");
}

}  // namespace
}  // namespace rw::core
