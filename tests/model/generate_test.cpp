// Part of Ropewalk, MIT licence.
#include "model/generate.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "model/evaluate.h"
#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Tensor;

/// Logits [T, V] of every position of one sequence, by the training path.
Tensor all_logits(const Options& options, const std::shared_ptr<Params>& params,
                  const std::vector<std::int32_t>& ids) {
  core::Stream stream;
  Stage trunk(options, {0, options.num_hidden_layers, true, false}, params);
  StageInput input;
  input.batch = 1;
  input.tokens = static_cast<std::int64_t>(ids.size());
  input.token_ids = test::ints(ids);
  const Tensor x = trunk.forward(input, nullptr, stream).y;
  Tensor normed = Tensor::like(x);
  Tensor rstd = Tensor::empty({input.tokens});
  kernels::rms_norm_forward(x, params->find("model.norm.weight")->value,
                            static_cast<float>(options.rms_norm_eps), normed, rstd, stream);
  Tensor logits = Tensor::empty({input.tokens, options.vocab_size});
  kernels::MatmulOptions how;
  how.b = kernels::Transpose::kYes;
  const char* head = options.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  kernels::matmul(normed, params->find(head)->value, logits, how, stream);
  return logits;
}

class DecoderTest : public ::testing::TestWithParam<std::pair<const char*, bool>> {};

TEST_P(DecoderTest, EveryTokenFollowsAsInTheWholeSequence) {
  const Options model = test::tiny(GetParam().first, GetParam().second);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 13, 4).ids;
  const Tensor want = all_logits(model, params, ids);
  Decoder decoder(model, *params, 13);
  std::size_t past = 0;
  for (const std::size_t count : {5U, 1U, 1U, 4U, 2U}) {
    const std::vector<float> got = decoder.feed(std::span(ids).subspan(past, count));
    past += count;
    const auto row = static_cast<std::int64_t>(past) - 1;
    EXPECT_LT(
        test::relative_error({got.begin(), got.end()}, test::numbers(want.rows(row, row + 1))),
        5e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderTest,
                         ::testing::Values(std::pair{"llama", false}, std::pair{"llama", true},
                                           std::pair{"qwen3", false}, std::pair{"qwen3", true}),
                         [](const auto& shape) {
                           return std::string(shape.param.first) +
                                  (shape.param.second ? "_tied" : "_untied");
                         });

TEST(DecoderLimitTest, LongPromptsGoInPieces) {
  Options model = test::tiny("llama", false);
  model.max_position_embeddings = 2000;
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 1100, 4).ids;
  Decoder decoder(model, *params, 1100);
  const std::vector<float> got = decoder.feed(ids);
  const Tensor want = all_logits(model, params, ids);
  EXPECT_LT(test::relative_error({got.begin(), got.end()}, test::numbers(want.rows(1099, 1100))),
            1e-5);
}

TEST(DecoderLimitTest, RefusesAFullCacheAndStrangeIds) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  Decoder decoder(model, *params, 3);
  decoder.feed(std::array<std::int32_t, 2>{1, 2});
  EXPECT_EQ(test::message_of([&] {
              decoder.feed(std::array<std::int32_t, 2>{1, 2});
            }),
            "decoder: got 2 tokens after 2, want 1 to 3 in all");
  EXPECT_EQ(test::message_of([&] { decoder.feed({}); }),
            "decoder: got 0 tokens after 2, want 1 to 3 in all");
  EXPECT_NE(test::message_of([&] {
              decoder.feed(std::array<std::int32_t, 1>{23});
            }).find("token 23 at 0"),
            std::string::npos);
}

TEST(SampleTest, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(sample(std::array{1.0F, 5.0F, 5.0F, 2.0F}, {}, 0), 1);
}

TEST(SampleTest, FollowsTheProbabilities) {
  const std::array logits{0.0F, std::log(3.0F)};
  SamplingOptions how;
  how.temperature = 1;
  how.seed = 5;
  int ones = 0;
  for (std::int64_t i = 0; i < 4000; ++i) ones += sample(logits, how, i);
  EXPECT_NEAR(ones / 4000.0, 0.75, 0.03);
  how.temperature = 0.5;  // 1 : 9
  ones = 0;
  for (std::int64_t i = 0; i < 4000; ++i) ones += sample(logits, how, i);
  EXPECT_NEAR(ones / 4000.0, 0.9, 0.03);
}

TEST(SampleTest, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.3, 0.2.
  const std::array logits{std::log(0.5F), std::log(0.3F), std::log(0.2F)};
  SamplingOptions how;
  how.temperature = 1;
  how.top_p = 0.7;
  std::map<std::int32_t, int> seen;
  for (std::int64_t i = 0; i < 2000; ++i) ++seen[sample(logits, how, i)];
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_NEAR(seen[0] / 2000.0, 0.625, 0.04);
  how.top_p = 0.4;
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(sample(logits, how, i), 0);
}

TEST(SampleTest, IsAFunctionOfSeedAndPosition) {
  std::vector<float> logits(50, 0.0F);
  SamplingOptions how;
  how.temperature = 1;
  how.seed = 9;
  std::vector<std::int32_t> first;
  std::vector<std::int32_t> second;
  for (std::int64_t i = 0; i < 20; ++i) first.push_back(sample(logits, how, i));
  for (std::int64_t i = 0; i < 20; ++i) second.push_back(sample(logits, how, i));
  EXPECT_EQ(first, second);
  how.seed = 10;
  second.clear();
  for (std::int64_t i = 0; i < 20; ++i) second.push_back(sample(logits, how, i));
  EXPECT_NE(first, second);
}

TEST(GenerateTest, StopsAtAStopTokenOrTheLimit) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> prompt{3, 1, 4};
  GenerateOptions how;
  how.max_new_tokens = 9;
  std::vector<std::int32_t> told;
  const auto all =
      generate(model, *params, prompt, how, [&](std::int32_t id) { told.push_back(id); });
  EXPECT_EQ(all.size(), 9U);
  EXPECT_EQ(told, all);
  how.stop_ids = {all[4]};
  const auto end = std::find(all.begin(), all.end(), all[4]) + 1;
  EXPECT_EQ(generate(model, *params, prompt, how), std::vector<std::int32_t>(all.begin(), end));
  how.max_new_tokens = 0;
  EXPECT_TRUE(generate(model, *params, prompt, how).empty());
}

TEST(EvaluateTest, PredictsEveryTokenAfterTheFirstOnce) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 24, 4).ids;
  const Evaluation got = evaluate(model, params, ids, 5);  // windows of 5, 5, 5, 5, 3
  EXPECT_EQ(got.predicted_tokens, 23);
  double want = 0;
  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += 5) {
    const std::size_t end = std::min(begin + 6, ids.size());
    const std::vector<std::int32_t> window(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                           ids.begin() + static_cast<std::ptrdiff_t>(end));
    const test::Numbers logits = test::numbers(all_logits(model, params, window));
    for (std::size_t t = 0; t + 1 < window.size(); ++t) {
      double sum = 0;
      for (std::size_t v = 0; v < 23; ++v) sum += std::exp(logits[t * 23 + v]);
      want += std::log(sum) - logits[t * 23 + static_cast<std::size_t>(window[t + 1])];
    }
  }
  EXPECT_NEAR(got.loss_sum, want, 1e-4);
}

TEST(EvaluateTest, RefusesTooFewAndStrangeTokens) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  EXPECT_EQ(test::message_of([&] { evaluate(model, params, std::array<std::int32_t, 1>{1}, 5); }),
            "eval: got 1 tokens, want at least 2");
  EXPECT_EQ(
      test::message_of([&] {
        evaluate(model, params, std::array<std::int32_t, 3>{1, 23, 0}, 5);
      }),
      "eval: token 1 is 23, want 0 to 22 (the model's vocabulary); is this the model's tokenizer?");
}

}  // namespace
}  // namespace rw::model
