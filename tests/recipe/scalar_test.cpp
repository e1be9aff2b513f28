// Part of Ropewalk, MIT licence.
#include "recipe/scalar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recipe_fixture.h"

namespace rw::recipe {
namespace {

using test::good_recipe;
using test::only;
using test::read;
using ::testing::HasSubstr;

std::string refusal(const std::string& override_text) {
  return only(read(good_recipe(), {override_text}));
}
Recipe taken(const std::string& override_text) {
  const Loaded loaded = read(good_recipe(), {override_text});
  EXPECT_EQ(only(loaded), "") << override_text;
  return loaded.recipe;
}

TEST(Scalar, CountsWithUnits) {
  EXPECT_EQ(taken("train.max_steps=500").train.max_steps, 500);
  EXPECT_EQ(taken("train.max_steps=500steps").train.max_steps, 500);
  EXPECT_EQ(taken("train.max_steps=2k").train.max_steps, 2000);
  EXPECT_EQ(taken("train.max_steps=1.5k").train.max_steps, 1500);
  EXPECT_EQ(taken("train.max_tokens=1B").train.max_tokens, 1'000'000'000);
  EXPECT_EQ(taken("train.max_tokens=10Mtokens").train.max_tokens, 10'000'000);
  EXPECT_EQ(taken("checkpoint.interval=1step").checkpoint.interval, 1);
}

TEST(Scalar, Times) {
  EXPECT_EQ(taken("watchdog.step_s=30min").watchdog.step_s, 1800);
  EXPECT_EQ(taken("watchdog.step_s=90s").watchdog.step_s, 90);
  EXPECT_EQ(taken("watchdog.init_s=1.5h").watchdog.init_s, 5400);
  EXPECT_EQ(taken("watchdog.init_s=45").watchdog.init_s, 45);
  EXPECT_EQ(taken("watchdog.init_s=2 min").watchdog.init_s, 120);
  EXPECT_EQ(taken("train.max_steps=500 steps").train.max_steps, 500);
}

TEST(Scalar, UnitsThatAreNone) {
  EXPECT_THAT(refusal("train.max_steps=5parsecs"), HasSubstr("'parsecs' is no unit here"));
  EXPECT_THAT(refusal("train.max_steps=5tokens"), HasSubstr("'tokens' is no unit here"));
  EXPECT_THAT(refusal("watchdog.step_s=5steps"), HasSubstr("'steps' is no unit here"));
  EXPECT_THAT(refusal("train.seq_len=2k"), HasSubstr("got '2k', want a whole number"));
}

TEST(Scalar, OddNumbers) {
  EXPECT_THAT(refusal("train.seq_len=010"), HasSubstr("leading zero"));
  EXPECT_THAT(refusal("train.seq_len=0x10"), HasSubstr("got '0x10'"));
  EXPECT_THAT(refusal("optimizer.lr=.001"), HasSubstr("a digit on either side of the point"));
  EXPECT_THAT(refusal("optimizer.lr=1."), HasSubstr("a digit on either side of the point"));
  EXPECT_THAT(refusal("train.seq_len=1_000"), HasSubstr("try plain digits"));
  EXPECT_THAT(refusal("train.seq_len=3.5"), HasSubstr("got '3.5', want a whole number"));
  EXPECT_THAT(refusal("train.seq_len=\"32\""), HasSubstr("without quotes"));
  EXPECT_THAT(refusal("train.seq_len="), HasSubstr("got nothing"));
  EXPECT_THAT(refusal("train.seq_len=~"), HasSubstr("got nothing"));
  EXPECT_THAT(refusal("optimizer.lr=nan"), HasSubstr("got 'nan'"));
  EXPECT_THAT(refusal("optimizer.lr=.inf"), HasSubstr("got '.inf'"));
  EXPECT_THAT(refusal("optimizer.lr=1e"), HasSubstr("got '1e'"));
  EXPECT_THAT(refusal("optimizer.lr=.5"), HasSubstr("got '.5'"));
  EXPECT_THAT(refusal("optimizer.lr=5."), HasSubstr("got '5.'"));
}

TEST(Scalar, NumbersAsWritten) {
  EXPECT_EQ(taken("optimizer.lr=3e-4").optimizer.lr, 3e-4);
  EXPECT_EQ(taken("optimizer.lr=3.0E-4").optimizer.lr, 3e-4);
  EXPECT_EQ(taken("optimizer.lr=+1").optimizer.lr, 1);
  EXPECT_EQ(taken("seed=18446744073709551615").seed, 18446744073709551615U);
  EXPECT_THAT(refusal("seed=18446744073709551616"), HasSubstr("from 0 to 2^64 - 1"));
  EXPECT_THAT(refusal("seed=-1"), HasSubstr("seed: got '-1'"));
}

TEST(Scalar, Ranges) {
  EXPECT_THAT(refusal("train.seq_len=0"), HasSubstr("from 1 to 16777216"));
  EXPECT_THAT(refusal("optimizer.lr=-1"), HasSubstr("got '-1', want a number from 0"));
  EXPECT_THAT(refusal("watchdog.step_s=0"), HasSubstr("above 0"));
  EXPECT_THAT(refusal("train.max_steps=99999999999999999999"),
              HasSubstr("got '99999999999999999999'"));
}

TEST(Scalar, WordsForTruth) {
  EXPECT_FALSE(taken("log.trace=false").log.trace);
  EXPECT_THAT(refusal("log.trace=no"), HasSubstr("got 'no', want true or false; try false"));
  EXPECT_THAT(refusal("log.trace=On"), HasSubstr("try true"));
  EXPECT_THAT(refusal("log.trace=\"true\""), HasSubstr("without quotes"));
  EXPECT_THAT(refusal("log.trace=True"), HasSubstr("got 'True', want true or false"));
}

TEST(Scalar, TextThatYamlWouldTakeForSomethingElse) {
  EXPECT_THAT(refusal("run_name=no"), HasSubstr("got 'no', want text; try it in quotes"));
  EXPECT_THAT(refusal("run_name=null"), HasSubstr("run_name: got"));
  EXPECT_EQ(taken("run_name=\"no\"").run_name, "no");
  EXPECT_EQ(taken("run_name=010").run_name, "010");
}

TEST(Scalar, EmptyTextIsNone) {
  EXPECT_THAT(refusal("output_dir=''"), HasSubstr("output_dir: got the text \"\", want text"));
  EXPECT_THAT(refusal("output_dir="), HasSubstr("output_dir: got nothing, want text"));
  EXPECT_THAT(refusal("data.sources=[{path: ''}]"),
              HasSubstr("data.sources[0].path: got the text"));
}

TEST(Scalar, Choices) {
  EXPECT_THAT(refusal("lr_scheduler.name=cosin"),
              HasSubstr("got 'cosin', want one of constant, linear, cosine"));
  EXPECT_THAT(refusal("model.name=mistral"), HasSubstr("want one of llama, qwen3"));
  EXPECT_EQ(taken("pipeline.schedule=zero_bubble").pipeline.schedule, "zero_bubble");
}

TEST(QuoteText, ReadsBackToTheSame) {
  for (const std::string text :
       {"plain", "a b", "no", "010", "x: y", "#hash", "quote\"back\\slash", "tab\tnew\nline",
        "ünïcode", "-dash", ".dot", "'single'", "{brace}", "%percent", "trailing "}) {
    const Loaded loaded = read(good_recipe() + "run_name: " + quote_text(text) + "\n");
    EXPECT_EQ(only(loaded), "") << text;
    EXPECT_EQ(loaded.recipe.run_name, text);
  }
}

TEST(RealText, ShortestDigitsThatReadBack) {
  EXPECT_EQ(real_text(0.1), "0.1");
  EXPECT_EQ(real_text(3e-4), "0.0003");
  for (const double value : {1e-8, 1.0 / 3, 12345.678, 1e30, 0.0})
    EXPECT_EQ(std::stod(real_text(value)), value);
}

}  // namespace
}  // namespace rw::recipe
