// Part of Ropewalk, MIT licence.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "recipe_fixture.h"

namespace rw::recipe {
namespace {

using test::good_recipe;
using test::only;
using test::read;
using test::with;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string refusal(const std::vector<std::string>& overrides, const Facts& facts = {}) {
  return only(read(good_recipe(), overrides, facts));
}

TEST(Rules, RequiredKeys) {
  const Loaded loaded = read("output_dir: x\nmodel: {hidden_size: 8}\n");
  std::vector<std::string> missing;
  for (const auto& one : loaded.details) {
    EXPECT_THAT(one.message, StartsWith("got nothing, want it"));
    missing.push_back(fmt::format("{}:{} {}", one.line, one.column, one.key));
  }
  EXPECT_THAT(missing,
              ::testing::ElementsAre("1:1 method", "1:1 train", "1:1 optimizer", "1:1 data",
                                     "2:1 model.num_hidden_layers", "2:1 model.num_attention_heads",
                                     "2:1 model.vocab_size"));
}

TEST(Rules, MaxTokensGivesMaxSteps) {
  std::string text = good_recipe();
  text.replace(text.find("max_steps: 20"), 13, "max_tokens: 1000");
  const Loaded loaded = read(text);
  EXPECT_EQ(only(loaded), "");
  EXPECT_EQ(loaded.recipe.train.max_steps, 4);  // 1000 tokens, 256 a step, rounded up
  text.replace(text.find(", max_tokens: 1000"), 18, "");
  EXPECT_THAT(only(read(text)),
              HasSubstr("train.max_steps: got nothing, want it or train.max_tokens"));
}

TEST(Rules, BatchesAreRefusedAtTheGlobalSize) {
  EXPECT_THAT(refusal({"train.micro_batch_size=3"}),
              HasSubstr("r.yaml:8:41: train.global_batch_size: got 8, want a multiple of "
                        "train.micro_batch_size · "
                        "parallel.dp = 3; try 9"));
  EXPECT_THAT(refusal({"parallel.dp=16"}), HasSubstr("train.global_batch_size: got 8"));
  EXPECT_EQ(refusal({"parallel.dp=8"}), "");
}

TEST(Rules, TimesThatArePlayedNeedAProblem) {
  const char* plays = "pipeline.emulate=true";
  const char* problem = "pipeline.problem=p.json";
  EXPECT_EQ(refusal({plays, problem}), "");
  EXPECT_EQ(refusal({plays, problem, "parallel.pp=2", "pipeline.schedule=skippipe"}), "");
  EXPECT_THAT(refusal({plays}), HasSubstr("pipeline.emulate: got it without pipeline.problem"));
  EXPECT_THAT(refusal({problem}),
              HasSubstr("pipeline.problem: got it with pipeline.schedule 1f1b"));
  EXPECT_THAT(
      refusal({problem, "pipeline.schedule=skippipe", "parallel.pp=2"}),
      HasSubstr("pipeline.problem: got it without pipeline.solution, want both or neither"));
  EXPECT_THAT(refusal({"pipeline.solution=s.json", "pipeline.schedule=skippipe", "parallel.pp=2"}),
              HasSubstr("pipeline.solution: got it without pipeline.problem"));
  const auto slowed = [&](const std::string& slow) {
    return refusal({plays, problem, "parallel.pp=2", "pipeline.emulate_slow=" + slow});
  };
  EXPECT_EQ(slowed("[1, 5, 2]"), "");
  EXPECT_THAT(slowed("[2, 5, 2]"), HasSubstr("emulate_slow: got [2, 5, 2], want three numbers"));
  EXPECT_THAT(slowed("[1, 5, 0]"), HasSubstr("a factor of at least 1"));
  EXPECT_THAT(slowed("[1, 5]"), HasSubstr("want three numbers: a rank below 2"));
  EXPECT_THAT(refusal({"parallel.pp=2", "pipeline.emulate_slow=[1, 5, 2]"}),
              HasSubstr("got it without pipeline.emulate"));
}

TEST(Rules, StagesAgainstLayers) {
  EXPECT_THAT(refusal({"parallel.pp=5"}),
              StartsWith("command line:1:13: parallel.pp: got 5 stages, want at most"));
  EXPECT_EQ(refusal({"parallel.pp=4"}), "");
  EXPECT_THAT(refusal({"parallel.pp=4", "pipeline.schedule=interleaved"}),
              HasSubstr("parallel.pp: got 8 stages (pp · pipeline.chunks)"));
  EXPECT_EQ(refusal({"parallel.pp=2", "pipeline.schedule=interleaved"}), "");
}

TEST(Rules, StageSplit) {
  EXPECT_EQ(refusal({"parallel.pp=2", "pipeline.stage_split=[3, 1]"}), "");
  EXPECT_THAT(
      refusal({"parallel.pp=2", "pipeline.stage_split=[3, 2]"}),
      HasSubstr("pipeline.stage_split: got 2 stages with 5 layers, want 2 stages with 4 layers"));
  EXPECT_THAT(refusal({"pipeline.stage_split=[2, 2]"}), HasSubstr("want 1 stages with 4 layers"));
  EXPECT_THAT(refusal({"pipeline.stage_split=[0, 4]"}), HasSubstr("pipeline.stage_split: got '0'"));
}

TEST(Rules, RanksAtParallel) {
  Facts facts;
  facts.ranks = 4;
  EXPECT_THAT(refusal({"parallel.dp=2"}, facts),
              HasSubstr("parallel: got dp 2 · pp 1 = 2 ranks, want 4"));
  EXPECT_EQ(refusal({"parallel.dp=2", "parallel.pp=2"}, facts), "");
}

TEST(Rules, WarmUpAndMinimum) {
  EXPECT_THAT(refusal({"lr_scheduler.warmup_steps=21"}),
              HasSubstr("want at most train.max_steps = 20"));
  EXPECT_THAT(refusal({"lr_scheduler.min_lr=1"}), HasSubstr("want at most optimizer.lr"));
}

TEST(Rules, ValidationNeedsACorpus) {
  EXPECT_THAT(refusal({"data.validation_interval=5"}),
              HasSubstr("data.validation names no corpus"));
  EXPECT_EQ(refusal({"data.validation_interval=5", "data.validation=[{path: v.h5}]"}), "");
}

TEST(Rules, MissingFilesAtTheirOwnKey) {
  Facts facts;
  facts.file_problem = [](const std::string& path) -> std::optional<std::string> {
    if (path == "c.h5") return "no such file";
    return std::nullopt;
  };
  EXPECT_THAT(refusal({}, facts), StartsWith("r.yaml:13:13: data.sources[0].path: got c.h5"));
  EXPECT_EQ(refusal({"data.sources=[{path: d.h5}]"}, facts), "");
  EXPECT_THAT(refusal({"data.sources=[{path: d.h5}]", "data.validation=[{path: c.h5}]"}, facts),
              HasSubstr("data.validation[0].path: got c.h5"));
}

TEST(Rules, VocabularyAgainstTheCorpus) {
  Facts facts;
  facts.corpus_vocab = [](const std::string&) -> std::optional<std::int64_t> { return 300; };
  EXPECT_EQ(refusal({}, facts), "");
  EXPECT_EQ(refusal({"model.vocab_size=512"}, facts), "");
  EXPECT_THAT(refusal({"model.vocab_size=299"}, facts),
              HasSubstr("model.vocab_size: got 299, want at least 300, the vocabulary of c.h5"));
}

TEST(Rules, HeadsAtTheKeyValueHeads) {
  EXPECT_EQ(refusal({"model.num_key_value_heads=3"}),
            "command line:1:27: model.num_key_value_heads: got 3, want a divisor of "
            "model.num_attention_heads 4; try 2");
  EXPECT_THAT(refusal({"model.num_key_value_heads=8"}), HasSubstr("got 8, want a divisor"));
  EXPECT_EQ(refusal({"model.num_key_value_heads=2"}), "");
}

TEST(Rules, SizesOfTheModelAreSaidTogether) {
  const auto all =
      test::heads(read(good_recipe(), {"model.num_attention_heads=6", "model.num_key_value_heads=4",
                                       "model.head_dim=15"}));
  EXPECT_THAT(
      all, ::testing::ElementsAre(
               "r.yaml:4:16: model.hidden_size: got 64, want a multiple of "
               "model.num_attention_heads 6; try 66",
               "command line:1:16: model.head_dim: got 15, want an even number (rotary embedding "
               "turns pairs); try 16",
               "command line:1:27: model.num_key_value_heads: got 4, want a divisor of "
               "model.num_attention_heads 6; try 3"));
  EXPECT_EQ(refusal({"model.num_attention_heads=6", "model.name=qwen3"}), "");
}

TEST(Rules, RopeKindsNeedTheirKeys) {
  EXPECT_EQ(only(with("", {"model.rope_parameters.rope_type=linear"})),
            "r.yaml:3:1: model.rope_parameters.factor: got nothing, want it with rope_type linear: "
            "how many times longer the context becomes");
  EXPECT_EQ(refusal({"model.rope_parameters.rope_type=linear", "model.rope_parameters.factor=2"}),
            "");
  EXPECT_THAT(refusal({"model.rope_parameters.factor=2"}),
              StartsWith("command line:1:30: model.rope_parameters.factor: got 2, but rope_type "
                         "default"));
  std::string text = good_recipe();
  text.insert(text.find("train:"),
              "  rope_parameters: {rope_type: llama3, factor: 8, low_freq_factor: 4}\n");
  EXPECT_THAT(
      test::heads(read(text)),
      ::testing::ElementsAre(
          "r.yaml:8:3: model.rope_parameters.original_max_position_embeddings: got nothing, "
          "want the context length before scaling; try 8192, as LLaMA 3"));
  EXPECT_THAT(
      only(read(text, {"model.rope_parameters.original_max_position_embeddings=8192",
                       "model.rope_parameters.high_freq_factor=4"})),
      StartsWith("command line:1:40: model.rope_parameters.high_freq_factor: got 4, want more "
                 "than low_freq_factor 4"));
}

TEST(Rules, WhatTheModelRefusesStandsAtItsKey) {
  Facts facts;
  facts.resolve = [](model::Options&, std::int64_t) {
    throw core::Error(core::ErrorKind::kRecipe, "model.hidden_size: got 64, want a multiple of 3");
  };
  EXPECT_EQ(refusal({}, facts), "r.yaml:4:16: model.hidden_size: got 64, want a multiple of 3");
}

Facts with_model() {
  Facts facts;
  facts.model_from = [](const std::string&) -> std::optional<model::Options> {
    model::Options out;
    out.hidden_size = 32;
    out.num_hidden_layers = 2;
    out.num_attention_heads = 2;
    out.vocab_size = 300;
    return out;
  };
  return facts;
}

TEST(Rules, SizesComeFromTheFolder) {
  std::string text = good_recipe();
  text.replace(text.find("model:"), text.find("train:") - text.find("model:"),
               "model: {from: folder}\n");
  const Loaded loaded = read(text, {}, with_model());
  EXPECT_EQ(only(loaded), "");
  EXPECT_EQ(loaded.recipe.model.hidden_size, 32);
  EXPECT_EQ(loaded.recipe.model.from, "folder");
  EXPECT_EQ(only(read(text, {"model.hidden_size=32"}, with_model())), "");
  EXPECT_THAT(only(read(text, {"model.hidden_size=64"}, with_model())),
              HasSubstr("model.hidden_size: got 64, want 32, as the model in folder has it; try it "
                        "without this key"));
}

TEST(Rules, AFolderWithoutAModelIsRefusedAtItsKey) {
  Facts facts;
  facts.file_problem = [](const std::string& path) -> std::optional<std::string> {
    if (path == "empty/config.json") return "no such file";
    return std::nullopt;
  };
  EXPECT_EQ(refusal({"model.from=empty"}, facts),
            "command line:1:12: model.from: got empty, want the folder of a Hugging Face model: "
            "empty/config.json: no such file");
}

TEST(Rules, AnUnsupportedModelIsNamed) {
  Facts facts;
  facts.model_from = [](const std::string&) -> std::optional<model::Options> {
    throw core::Error(core::ErrorKind::kUsage, "config.json: sliding window");
  };
  EXPECT_THAT(refusal({"model.from=folder"}, facts),
              HasSubstr("model.from: got a model that cannot be used: config"));
}

TEST(Rules, PatienceIsATimeOrForEver) {
  EXPECT_EQ(only(with("", {"pipeline.patience_ms=-0.5"})),
            "command line:1:22: pipeline.patience_ms: got -0.5, want a time from 0, or -1 to wait "
            "for ever; try pipeline.patience_ms=-1");
  for (const char* good : {"-1", "0", "0.5"}) {
    EXPECT_EQ(only(with("", {std::string("pipeline.patience_ms=") + good})), "") << good;
  }
}

TEST(Rules, OneMistakeIsSaidOnce) {
  // seq_len is wrong: nothing that follows from it is held against the user.
  EXPECT_EQ(test::heads(read(good_recipe(), {"train.seq_len=x"})).size(), 1U);
  EXPECT_EQ(test::heads(read(good_recipe(), {"parallel.pp=x"})).size(), 1U);
}

}  // namespace
}  // namespace rw::recipe
