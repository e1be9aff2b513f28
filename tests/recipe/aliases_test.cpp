// Part of Ropewalk, MIT licence.
#include "recipe/aliases.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "recipe/keys.h"
#include "recipe/recipe_fixture.h"

namespace rw::recipe {
namespace {

using test::heads;
using test::only;
using test::with;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

Facts with_corpus() {
  Facts facts;
  facts.corpus_tokens = [](const std::string&) { return 10'000; };
  return facts;
}

/// The good recipe's sizes: seq_len 32, global_batch_size 8, max_steps 20, lr 0.001.
std::string said(const std::string& more, const std::vector<std::string>& overrides = {}) {
  return only(with(more, overrides, with_corpus()));
}

TEST(Aliases, AreNamedOnceAndPointAtKeysThatExist) {
  std::map<std::string, int> seen;
  for (const Alias& alias : aliases()) {
    EXPECT_EQ(++seen[alias.theirs], 1) << alias.theirs;
    EXPECT_EQ(plain_name(alias.theirs), alias.theirs);
    const std::string ours = alias.ours;
    const bool section = std::any_of(sections().begin(), sections().end(),
                                     [&](const Section& one) { return one.name == ours; });
    EXPECT_TRUE(ours.empty() || section || find_key(ours) != nullptr) << ours;
    EXPECT_FALSE(ours.empty() && *alias.note == 0) << alias.theirs;
    std::istringstream factors(alias.conversion);
    for (std::string word; factors >> word;) {
      const bool known = word == "*" || word == "/" || word == "VALUE" || word == "TOKENS" ||
                         find_key(word) != nullptr ||
                         word.find_first_not_of("0123456789") == std::string::npos;
      EXPECT_TRUE(known) << alias.theirs << ": " << word;
    }
  }
}

TEST(Aliases, OfOtherUnitsAreConvertedInTheNumbersOfTheRecipe) {
  const std::pair<const char*, const char*> cases[] = {
      {"gradient_accumulation_steps: 8\n",
       "want train.global_batch_size = train.micro_batch_size * parallel.dp * 8 (here 8 with dp "
       "1)"},
      {"parallel: {dp: 3}\nnum_microbatches: 4\n", "(here 12 with dp 3)"},
      {"num_train_epochs: 3\n",
       "want train.max_tokens = 3 * tokens of the corpora (here 30000) (`ropewalk data inspect`), "
       "or train.max_steps"},
      {"warmup_ratio: 0.1\n", "want lr_scheduler.warmup_steps = 0.1 * train.max_steps (here 2)"},
      {"warmup_ratio: 0.03\n", "(here 1)"},
      {"total_batch_size: 524288\n",
       "train.global_batch_size = 524288 / train.seq_len (here 16384)"},
      {"train_samples: 100\n", "train.max_steps = 100 / train.global_batch_size (here 13)"},
      {"lr_warmup_samples: 80\n",
       "lr_scheduler.warmup_steps = 80 / train.global_batch_size "
       "(here 10)"},
      {"min_lr_ratio: 0.1\n", "lr_scheduler.min_lr = 0.1 * optimizer.lr (here 0.0001)"},
      {"eval_iters: 5\n", "data.validation_rows = 5 * train.global_batch_size (here 40)"},
      {"distributed_timeout_minutes: 10\n", "watchdog.step_s = 60 * 10 (here 600)"},
      {"num_layers_per_virtual_pipeline_stage: 2\n",
       "pipeline.chunks = model.num_hidden_layers / parallel.pp / 2 (here 2)"},
      {"reduce_bucket_size: 1000\n", "pipeline.bucket_bytes = 4 * 1000 (here 4000)"},
      {"saves_per_epoch: 4\n", "(here 10)"},
      {"save_steps: 0.25\n", "checkpoint.interval = 0.25 * train.max_steps (here 5)"},
  };
  for (const auto& [yaml, text] : cases) EXPECT_THAT(said(yaml), HasSubstr(text)) << yaml;
}

TEST(Aliases, WhatTheOtherForeignKeysComeToCounts) {
  const Loaded loaded = test::read(
      "method: pipeline\noutput_dir: x\n"
      "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 257}\n"
      "train: {cutoff_len: 16, per_device_train_batch_size: 2, gradient_accumulation_steps: 8,\n"
      "  num_train_epochs: 3}\n"
      "optimizer: {learning_rate: 2e-3}\n"
      "lr_scheduler: {warmup_ratio: 0.1, min_lr_ratio: 0.5}\ndata: {sources: [{path: c.h5}]}\n",
      {}, with_corpus());
  const auto all = heads(loaded);
  EXPECT_THAT(all, Contains(HasSubstr("(here 16 with dp 1)")));
  EXPECT_THAT(all, Contains(HasSubstr("0.1 * train.max_steps (here 12)")));  // 30000 / 256 = 118
  EXPECT_THAT(all, Contains(HasSubstr("0.5 * optimizer.lr (here 0.001)")));
  EXPECT_EQ(all.size(), 7U);  // nothing is said of seq_len and max_steps, which they stand for
}

TEST(Aliases, WhatIsNotKnownIsNotCounted) {
  EXPECT_THAT(only(with("num_train_epochs: 3\n")), HasSubstr("= 3 * tokens of the corpora (`"));
  EXPECT_THAT(said("warmup_ratio: a tenth\n"),
              HasSubstr("lr_scheduler.warmup_steps = warmup_ratio * train.max_steps"));
  EXPECT_THAT(said("warmup_ratio: [1]\n"), Not(HasSubstr("here")));
}

TEST(Aliases, OfTheSameUnitAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"base_model: x\n", "base_model is called model.from here"},
      {"sequence_len: 8\n", "sequence_len is called train.seq_len here"},
      {"cutoff_len: 8\n", "cutoff_len is called train.seq_len here"},
      {"per_device_train_batch_size: 2\n",
       "is called train.micro_batch_size here (rows of one rank at a time; rows of a step"},
      {"save_steps: 500\n", "save_steps is called checkpoint.interval here"},
      {"zero_optimization: {stage: 1}\n", "is called parallel.zero here"},
      {"\"--num-layers\": 2\n", "is called model.num_hidden_layers here"},
      {"lr-decay-style: cosine\n", "is called lr_scheduler.name here"},
      {"hidden-size: 2\n", "did you mean 'model.hidden_size'?"},
  };
  for (const auto& [yaml, text] : cases) EXPECT_THAT(said(yaml), HasSubstr(text)) << yaml;
}

TEST(Aliases, SwitchesSayWhatToWrite) {
  const std::pair<const char*, const char*> cases[] = {
      {"bf16: true\n", "want precision: bf16"},
      {"bf16: false\n", "want precision: f32"},
      {"bf16: {enabled: true}\n", "want precision: bf16"},
      {"bf16: auto\n", "want precision: bf16 or precision: f32"},
      {"fp16: true\n", "not in this version"},
      {"gradient_checkpointing: true\n", "want train.recompute: full"},
      {"use-distributed-optimizer: true\n", "want parallel.zero: 1"},
      {"untie_embeddings_and_output_weights: true\n", "want model.tie_word_embeddings: false"},
      {"num_experts: 0\n", "a model without experts needs no key for it; leave it out"},
      {"num_experts: 8\n", "a mixture of experts is not in this version"},
  };
  for (const auto& [yaml, text] : cases) EXPECT_THAT(said(yaml), EndsWith(text)) << yaml;
}

TEST(Aliases, AreKnownInOverridesToo) {
  EXPECT_THAT(said("", {"train.gradient_accumulation_steps=4"}),
              HasSubstr("* parallel.dp * 4 (here 4 with dp 1)"));
  EXPECT_THAT(said("", {"warmup_ratio=0.5"}), HasSubstr("(here 10)"));
  EXPECT_THAT(said("", {"--bf16=true"}), HasSubstr("want precision: bf16"));
}

}  // namespace
}  // namespace rw::recipe
