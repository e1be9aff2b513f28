// Part of Ropewalk, MIT licence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recipe_fixture.h"

namespace rw::recipe {
namespace {

using test::good_recipe;
using test::heads;
using test::only;
using test::read;
using test::with;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Reader, AGoodRecipeHasNoComplaints) {
  const Loaded loaded = read(good_recipe());
  EXPECT_EQ(only(loaded), "");
  EXPECT_EQ(loaded.recipe.model.hidden_size, 64);
  EXPECT_EQ(loaded.recipe.train.seq_len, 32);
  EXPECT_EQ(loaded.recipe.train.max_steps, 20);
  EXPECT_EQ(loaded.recipe.optimizer.lr, 0.001);
  EXPECT_EQ(loaded.recipe.data.sources.at(0).path, "c.h5");
  EXPECT_EQ(loaded.recipe.run_name, "r");
}

TEST(Reader, UnknownKeyHasPlaceCaretAndSuggestion) {
  const Loaded loaded = with("lr_scheduler:\n  warmup_step: 5\n");
  ASSERT_EQ(loaded.complaints.size(), 1U);
  EXPECT_EQ(
      loaded.complaints[0],
      "r.yaml:15:3: lr_scheduler.warmup_step: unknown key 'warmup_step' in 'lr_scheduler' (did "
      "you mean 'warmup_steps'?)\n    warmup_step: 5\n    ^");
}

TEST(Reader, WrongValueStandsAtTheValue) {
  const Loaded loaded = with("seed: many\n");
  ASSERT_EQ(loaded.details.size(), 1U);
  EXPECT_EQ(loaded.details[0].line, 14);
  EXPECT_EQ(loaded.details[0].column, 7);
  EXPECT_EQ(loaded.details[0].key, "seed");
  EXPECT_THAT(loaded.complaints[0], HasSubstr("\n  seed: many\n        ^"));
}

TEST(Reader, AKeyOfAnotherSectionIsFound) {
  EXPECT_THAT(only(with("log: {betas: [0.9, 0.95]}\n")),
              HasSubstr("did you mean 'optimizer.betas'?"));
}

TEST(Reader, UnknownSection) {
  EXPECT_EQ(only(with("modle: {}\n")),
            "r.yaml:14:1: modle: unknown key 'modle' (did you mean 'model'?)");
}

TEST(Reader, NamesOfOtherTrainersAreAnswered) {
  EXPECT_THAT(only(with("log: {max_grad_norm: 1}\n")),
              HasSubstr("max_grad_norm is called train.clip_grad_norm here"));
  EXPECT_THAT(only(with("learning_rate: 1\n")),
              HasSubstr("learning_rate is called optimizer.lr here"));
  EXPECT_THAT(only(with("parallel: {pipeline_model_parallel_size: 2}\n")),
              HasSubstr("is called parallel.pp here"));
  EXPECT_THAT(only(with("checkpoint: {save_total_limit: 2}\n")),
              HasSubstr("is called checkpoint.keep_latest_k here"));
}

TEST(Reader, TildeIsTheHomeFolderInEveryPath) {
  Facts facts;
  facts.home = "/home/u";
  const Recipe recipe =
      read(
          "output_dir: ~/run\nmodel: {from: \"~/m\"}\npipeline: {topology: ~/t, problem: ~/p,\n"
          "  solution: ~/s}\ndata: {sources: [{path: ~/c.h5}], validation: [{path: ~/v.h5}]}\n",
          {}, facts)
          .recipe;
  EXPECT_EQ(recipe.output_dir, "/home/u/run");
  EXPECT_EQ(recipe.model.from, "/home/u/m");
  EXPECT_EQ(recipe.pipeline.topology, "/home/u/t");
  EXPECT_EQ(recipe.pipeline.problem, "/home/u/p");
  EXPECT_EQ(recipe.pipeline.solution, "/home/u/s");
  EXPECT_EQ(recipe.data.sources.at(0).path, "/home/u/c.h5");
  EXPECT_EQ(recipe.data.validation.at(0).path, "/home/u/v.h5");
  EXPECT_EQ(read(good_recipe(), {"output_dir=~/o"}, facts).recipe.output_dir, "/home/u/o");
  EXPECT_EQ(read("run_name: ~/x\n", {}, facts).recipe.run_name, "~/x");  // no path
  EXPECT_EQ(read("output_dir: ~/x\n").recipe.output_dir, "~/x");         // what a run has written
}

TEST(Reader, VariablesInPathsAreRefused) {
  Facts facts;
  facts.home = "/home/u";
  EXPECT_THAT(only(read(good_recipe(), {"output_dir=${HOME}/x"}, facts)),
              HasSubstr("output_dir: got '${HOME}/x', want a path without variables"));
  EXPECT_THAT(only(with("model_: 1\n", {"model.from=$HOME/x"}, facts)),
              HasSubstr("model.from: got '$HOME/x', want a path without variables"));
  const std::string yaml = good_recipe();
  EXPECT_THAT(only(read(yaml.substr(0, yaml.find("c.h5")) + "${DATA}/c.h5\n", {}, facts)),
              StartsWith("r.yaml:13:13: data.sources[0].path: got '${DATA}/c.h5'"));
  EXPECT_THAT(only(read(good_recipe(), {"output_dir=~eve/x"}, facts)), HasSubstr("want ~/"));
}

TEST(Reader, DuplicateKeysAreRefused) {
  EXPECT_THAT(
      only(with("seed: 1\nseed: 2\n")),
      StartsWith("r.yaml:15:1: seed: got this key a second time, want it once; it stands in "
                 "line 14 already"));
  EXPECT_THAT(only(with("parallel: {pp: 1, pp: 2}\n")),
              HasSubstr("parallel.pp: got this key a second"));
}

TEST(Reader, AllErrorsAtOnceInTheOrderOfTheFile) {
  const auto all = heads(with("log: {trace: yes, intervall: 3}\nseed: -1\nextra: 1\n"));
  ASSERT_EQ(all.size(), 4U);
  EXPECT_THAT(all[0],
              StartsWith("r.yaml:14:14: log.trace: got 'yes', want true or false; try true"));
  EXPECT_THAT(all[1], StartsWith("r.yaml:14:19: log.intervall: unknown key"));
  EXPECT_THAT(all[2], StartsWith("r.yaml:15:7: seed: "));
  EXPECT_THAT(all[3], StartsWith("r.yaml:16:1: extra: "));
}

TEST(Reader, BracesOverSeveralLinesKeepTheKeysLine) {
  const auto all = heads(with("watchdog: {\n  init_s: soon,\n  step_s: 5 }\n"));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0], StartsWith("r.yaml:15:"));
}

TEST(Reader, ASectionMustBeAMapping) {
  EXPECT_THAT(only(with("parallel: 4\n")), HasSubstr("parallel: got '4', want keys below it"));
  EXPECT_EQ(only(with("log:\n")),
            "r.yaml:14:1: log: got nothing, want keys below it, such as interval");
  EXPECT_THAT(only(with("parallel: [1, 2]\n")),
              HasSubstr("parallel: got a list, want keys below it, such as dp"));
}

TEST(Reader, AValueMustBePlain) {
  EXPECT_THAT(only(with("seed: [1]\n")), HasSubstr("seed: got a list"));
  EXPECT_THAT(only(with("seed: {a: 1}\n")), HasSubstr("seed: got a mapping"));
}

TEST(Reader, SyntaxErrorsHaveAPlace) {
  const auto all = heads(read("method: pipeline\nmodel: {hidden_size: 3\n"));
  ASSERT_FALSE(all.empty());
  EXPECT_THAT(all[0], HasSubstr("got YAML that cannot be read"));
  EXPECT_THAT(only(read("")), HasSubstr("got no mapping"));
  EXPECT_THAT(only(read("- a\n- b\n")), HasSubstr("got no mapping"));
  EXPECT_THAT(only(with("---\nseed: 1\n")),
              StartsWith("r.yaml:14:1: recipe: got more behind the end of the YAML document"));
  EXPECT_THAT(only(read(", a: b\n")), HasSubstr("r.yaml:1:1: recipe: got no mapping"));
  EXPECT_THAT(only(with("}\n")), StartsWith("r.yaml:14:1: recipe: got "));
  EXPECT_THAT(only(with("...\n# the end\n")), "");
}

TEST(Reader, SourcesAreChecked) {
  const std::string base = good_recipe();
  const std::string head = base.substr(0, base.find("data:"));
  EXPECT_THAT(only(read(head + "data: {sources: c.h5}\n")),
              HasSubstr("data.sources: got 'c.h5', want a list"));
  EXPECT_THAT(only(read(head + "data: {sources: [c.h5]}\n")),
              HasSubstr("data.sources[0]: got 'c.h5'"));
  EXPECT_THAT(only(read(head + "data: {sources: [{weight: 2}]}\n")),
              HasSubstr("data.sources[0].path: got nothing"));
  EXPECT_THAT(only(read(head + "data: {sources: [{path: a, weigth: 2}]}\n")),
              HasSubstr("did you mean 'weight'?"));
  EXPECT_THAT(only(read(head + "data: {sources: [{path: a, weight: 0}]}\n")),
              HasSubstr("data.sources[0].weight: got '0'"));
  EXPECT_THAT(only(read(head + "data: {sources: []}\n")), HasSubstr("got an empty list"));
}

TEST(Reader, EachBadValueOfAListStandsAtItsOwnColumn) {
  EXPECT_THAT(
      heads(with("pipeline: {stage_split: [x, 4, 0]}\n")),
      ElementsAre("r.yaml:14:26: pipeline.stage_split: got 'x', want a whole number from 1 to "
                  "100000",
                  "r.yaml:14:32: pipeline.stage_split: got '0', want a whole number from 1 to "
                  "100000"));
  EXPECT_EQ(only(with("pipeline:\n  stage_split:\n    - 2\n    - [2]\n")),
            "r.yaml:17:7: pipeline.stage_split: got a list inside the list, want a whole number "
            "from 1 to 100000");
}

TEST(Reader, NamesWithDotsAreForTheCommandLine) {
  EXPECT_EQ(only(with("log.trace: false\n")),
            "r.yaml:14:1: log.trace: got a name with a dot, want 'trace' indented below 'log:'; "
            "dots are for the command line");
}

TEST(Reader, YamlBeyondPlainValuesIsRefused) {
  EXPECT_EQ(only(with("log:\n  <<: {trace: false}\n")),
            "r.yaml:15:3: log.<<: got a YAML merge key, which recipes do not have; want the keys "
            "written out");
  EXPECT_EQ(only(with("seed: !!str 3\n")),
            "r.yaml:14:7: seed: got the YAML tag 'tag:yaml.org,2002:str', want a value without "
            "one");
  EXPECT_EQ(only(with("run_name: \"a\\0b\"\n")),
            "r.yaml:14:11: run_name: got text with a zero byte, want it without");
  EXPECT_THAT(only(with("seed: *nowhere\n")), StartsWith("r.yaml:14:7: recipe: got YAML that "));
}

TEST(Reader, AnAnchorIsReadAsItsValue) {
  const Loaded loaded = with("seed: &s 3\ncheckpoint: {interval: *s}\n");
  EXPECT_EQ(only(loaded), "");
  EXPECT_EQ(loaded.recipe.checkpoint.interval, 3);
  EXPECT_THAT(only(with("run_name: &s abc\ncheckpoint:\n  interval: *s\n")),
              StartsWith("r.yaml:16:3: checkpoint.interval: got 'abc'"));
}

TEST(Reader, AQuoteMustBeClosedInItsLine) {
  const Loaded loaded = read("run_name: \"abc\n" + good_recipe());
  ASSERT_EQ(loaded.complaints.size(), 1U);
  EXPECT_THAT(loaded.complaints[0], StartsWith("r.yaml:1:11: run_name: got a quote that is not "
                                               "closed in its line, want it closed there\n"
                                               "  run_name: \"abc\n            ^"));
  EXPECT_EQ(only(with("run_name: 'it''s'\n")), "");
  EXPECT_EQ(only(with("run_name: \"a \\\" b\"\n")), "");
}

TEST(Reader, OnePlaceIsPrintedOnce) {
  const Loaded loaded = read("seed: 1\n");
  ASSERT_EQ(loaded.complaints.size(), 1U);
  EXPECT_EQ(loaded.details.size(), 6U);
  EXPECT_THAT(loaded.complaints[0],
              StartsWith("r.yaml:1:1: method: got nothing, want it: it is required (how it trains)"
                         "\n  and output_dir: got nothing"));
  EXPECT_THAT(loaded.complaints[0], HasSubstr("\n  and data: got nothing"));
  EXPECT_THAT(loaded.complaints[0], ::testing::EndsWith("\n  seed: 1\n  ^"));
}

TEST(SourceText, TabsInTheIndentationHaveAPlace) {
  const Loaded loaded = with("log:\n\ttrace: true\nwatchdog:\n  \tinit_s: 3\n");
  EXPECT_THAT(heads(loaded),
              ElementsAre("r.yaml:15:1: recipe: got a tab in the indentation, want spaces; try two "
                          "of them per level",
                          "r.yaml:17:3: recipe: got a tab in the indentation, want spaces; try two "
                          "of them per level"));
  EXPECT_THAT(loaded.complaints[1], HasSubstr("\n    \tinit_s: 3\n    ^"));
  EXPECT_EQ(only(with("seed: 1\t# a comment\n")), "");
}

TEST(SourceText, BytesThatAreNoText) {
  EXPECT_EQ(only(with("run_name: \xff\n")),
            "r.yaml:14:11: recipe: got the byte 0xff, which is no UTF-8, want text in UTF-8");
  for (const char* bad : {"\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_THAT(only(with(std::string("run_name: ") + bad + "\n")), HasSubstr("which is no UTF-8"));
  }
  EXPECT_EQ(only(with(std::string("seed: 3") + '\0' + "\n")),
            "r.yaml:14:8: recipe: got the control character 0x00, want text");
  EXPECT_EQ(only(with("run_name: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n")), "");
}

TEST(SourceText, ColumnsAndCaretsCountCharacters) {
  const Loaded loaded = with("watchdog: {init_s: \"\xc3\xa9\xe2\x82\xac\", step_s: x}\n");
  ASSERT_EQ(loaded.complaints.size(), 2U);
  EXPECT_EQ(loaded.details[1].column, 34);
  EXPECT_THAT(loaded.complaints[1], ::testing::EndsWith("\n" + std::string(35, ' ') + "^"));
}

TEST(SourceText, AByteOrderMarkIsNoMatter) {
  EXPECT_EQ(only(read("\xef\xbb\xbf" + good_recipe())), "");
  EXPECT_EQ(only(read("\xef\xbb\xbfseed: x\n" + good_recipe())),
            "r.yaml:1:7: seed: got 'x', want a whole number from 0 to 2^64 - 1");
}

TEST(Reader, ListsOfNumbers) {
  EXPECT_EQ(only(with("pipeline: {stage_split: [4]}\n")), "");
  EXPECT_THAT(only(with("pipeline: {stage_split: 4}\n")),
              HasSubstr("pipeline.stage_split: got '4', want a list"));
  EXPECT_THAT(only(read(good_recipe(), {"optimizer.betas=[0.9]"})),
              HasSubstr("got 1 numbers, want 2 numbers from 0 to 0.9999999"));
  EXPECT_EQ(read(good_recipe(), {"optimizer.betas=[0.8, 0.7]"}).recipe.optimizer.beta2, 0.7);
  EXPECT_THAT(only(read(good_recipe(), {"optimizer.betas=[0.9, 1]"})),
              HasSubstr("optimizer.betas: got '1'"));
}

TEST(Overrides, TakeThePlaceOfTheFile) {
  const Loaded loaded =
      read(good_recipe(),
           {"train.max_steps=7", "data.sources=[{path: d.h5, weight: 3}]", "run_name=two words"});
  EXPECT_EQ(only(loaded), "");
  EXPECT_EQ(loaded.recipe.train.max_steps, 7);
  EXPECT_EQ(loaded.recipe.data.sources.at(0).weight, 3);
  EXPECT_EQ(loaded.recipe.run_name, "two words");
}

TEST(Overrides, ComplainOnTheCommandLine) {
  const Loaded loaded = read(good_recipe(), {"train.max_stepz=3"});
  ASSERT_EQ(loaded.complaints.size(), 1U);
  EXPECT_EQ(loaded.complaints[0],
            "command line:1:1: train.max_stepz: unknown key 'max_stepz' in 'train' (did you mean "
            "'max_steps'?)\n  train.max_stepz=3\n  ^");
  EXPECT_THAT(only(read(good_recipe(), {"train.seq_len=x"})),
              StartsWith("command line:1:15: train.seq_len"));
  EXPECT_THAT(only(read(good_recipe(), {"train"})), HasSubstr("want key.sub=value"));
  EXPECT_THAT(only(read(good_recipe(), {"train=3"})), HasSubstr("got a section"));
  EXPECT_THAT(only(read(good_recipe(), {"trian.seq_len=3"})), HasSubstr("did you mean 'train'?"));
}

TEST(Overrides, PlacesWithinTheirValue) {
  EXPECT_THAT(heads(read(good_recipe(), {"optimizer.betas=[x, y]"})),
              ElementsAre("command line:1:18: optimizer.betas: got 'x', want numbers from 0 to "
                          "0.9999999",
                          "command line:1:21: optimizer.betas: got 'y', want numbers from 0 to "
                          "0.9999999"));
  const Loaded loaded = read(good_recipe(), {"data.sources=[{path: a, weigth: 2}]"});
  ASSERT_EQ(loaded.complaints.size(), 1U);
  EXPECT_EQ(loaded.complaints[0],
            "command line:1:25: data.sources[0].weigth: unknown key 'weigth' (did you mean "
            "'weight'?)\n  data.sources=[{path: a, weigth: 2}]\n" +
                std::string(26, ' ') + "^");
}

TEST(Overrides, OfPartsAreRefused) {
  EXPECT_EQ(only(read(good_recipe(), {"data.sources[0].path=x"})),
            "command line:1:1: data.sources[0].path: got a part of a list, want the list as a "
            "whole; try data.sources=[…]");
  EXPECT_EQ(only(read(good_recipe(), {"data.sources.path=x"})),
            "command line:1:1: data.sources.path: got a part of 'data.sources', want it as a "
            "whole; try data.sources=[{path: FILE}]");
  EXPECT_EQ(only(read(good_recipe(), {"eggroll.sigma=1"})),
            "command line:1:1: eggroll.sigma: 'eggroll' is not in this version");
}

TEST(Overrides, TheLastOneHolds) {
  EXPECT_EQ(read(good_recipe(), {"seed=1", "seed=2"}).recipe.seed, 2U);
}

TEST(Overrides, SupplyWhatTheFileLacks) {
  const std::string base = good_recipe();
  const std::string less = base.substr(base.find('\n') + 1);
  EXPECT_THAT(only(read(less)), HasSubstr("method: got nothing"));
  EXPECT_EQ(only(read(less, {"method=pipeline"})), "");
}

TEST(NotYet, IsSaidByName) {
  for (const char* change :
       {"method=eggroll", "method=spsa", "pipeline.schedule=file", "pipeline.head=spread",
        "checkpoint.levels=2", "checkpoint.mode=lazy"}) {
    EXPECT_THAT(only(read(good_recipe(), {change})), HasSubstr("not in this version")) << change;
  }
  for (const char* section : {"eggroll: {}\n", "spsa: {}\n", "boom: {}\n"}) {
    EXPECT_THAT(only(with(section)), HasSubstr("not in this version")) << section;
  }
}

TEST(Reader, WindowsLineEndsAreNoMatter) {
  std::string text;
  for (const char c : good_recipe()) text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(only(read(text)), "");
}

}  // namespace
}  // namespace rw::recipe
