// Part of Ropewalk, MIT licence.
#include "model/generate.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <numeric>
#include <set>

#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/threads.h"
#include "model/decoder.h"
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

/// The logits after one piece of sequence 0.
std::vector<float> feed(Decoder& decoder, std::span<const std::int32_t> ids) {
  const Piece piece{0, ids};
  return core::to_floats(decoder.feed(std::span(&piece, 1)));
}

class DecoderTest : public ::testing::TestWithParam<std::pair<const char*, bool>> {};

TEST_P(DecoderTest, EveryTokenFollowsAsInTheWholeSequence) {
  const Options model = test::tiny(GetParam().first, GetParam().second);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 13, 4).ids;
  const Tensor want = all_logits(model, params, ids);
  Decoder decoder(model, *params, {.max_tokens = 13});
  std::size_t past = 0;
  for (const std::size_t count : {5U, 1U, 1U, 4U, 2U}) {
    const std::vector<float> got = feed(decoder, std::span(ids).subspan(past, count));
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
  Decoder decoder(model, *params, {.max_tokens = 1100});
  const std::vector<float> got = feed(decoder, ids);
  const Tensor want = all_logits(model, params, ids);
  EXPECT_LT(test::relative_error({got.begin(), got.end()}, test::numbers(want.rows(1099, 1100))),
            1e-5);
}

TEST(DecoderLimitTest, RefusesAFullCacheAndStrangeIds) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  Decoder decoder(model, *params, {.max_tokens = 3});
  feed(decoder, std::array<std::int32_t, 2>{1, 2});
  EXPECT_EQ(test::message_of([&] {
              feed(decoder, std::array<std::int32_t, 2>{1, 2});
            }),
            "decoder: got 2 tokens after 2, want 1 to 3 in all");
  EXPECT_EQ(test::message_of([&] { feed(decoder, {}); }),
            "decoder: got 0 tokens after 2, want 1 to 3 in all");
  EXPECT_NE(test::message_of([&] {
              feed(decoder, std::array<std::int32_t, 1>{23});
            }).find("token 23 at 0"),
            std::string::npos);
  EXPECT_EQ(test::message_of([&] {
              const std::array<std::int32_t, 1> one{2};
              const Piece piece{1, one};
              decoder.feed(std::span(&piece, 1));
            }),
            "decoder: got sequence 1, want 0 to 0");
}

/// Logits of the sequences' last tokens, as they come when each is decoded alone.
std::vector<std::vector<float>> alone(const Options& model, const Params& params,
                                      const std::vector<std::vector<std::int32_t>>& sequences,
                                      core::DType weights) {
  std::vector<std::vector<float>> out;
  for (const auto& ids : sequences) {
    Decoder decoder(model, params, {.max_tokens = 300, .weights = weights, .cache = weights});
    out.push_back(feed(decoder, ids));
  }
  return out;
}

class BatchTest : public ::testing::TestWithParam<core::DType> {};

TEST_P(BatchTest, SequencesSideBySideGiveTheBitsOfEachAlone) {
  const int before = kernels::threads();
  for (const char* family : {"llama", "qwen3"}) {
    const Options model = test::tiny(family, false);
    const auto params = test::random_params(model, {test::whole(model)});
    const std::vector<std::vector<std::int32_t>> sequences{
        test::Batch(model, 1, 9, 1).ids, test::Batch(model, 1, 150, 2).ids,
        test::Batch(model, 1, 2, 3).ids, test::Batch(model, 1, 70, 4).ids};
    const auto want = alone(model, *params, sequences, GetParam());
    for (const int count : {1, 2, 3}) {
      kernels::set_threads(count);
      Decoder decoder(
          model, *params,
          {.sequences = 4, .max_tokens = 300, .weights = GetParam(), .cache = GetParam()});
      std::vector<Piece> pieces;  // all but the last token, then that one
      for (std::int64_t i = 0; i < 4; ++i) {
        const auto& ids = sequences[static_cast<std::size_t>(i)];
        pieces.push_back({i, std::span(ids).first(ids.size() - 1)});
      }
      decoder.feed(pieces);
      for (auto& piece : pieces) {
        piece.ids = std::span(sequences[static_cast<std::size_t>(piece.sequence)]).last(1);
      }
      std::swap(pieces[0], pieces[2]);
      const core::Tensor logits = decoder.feed(pieces);
      for (std::int64_t i = 0; i < 4; ++i) {
        const std::int64_t sequence = i == 0 ? 2 : i == 2 ? 0 : i;
        EXPECT_EQ(core::to_floats(logits.rows(i, i + 1)), want[static_cast<std::size_t>(sequence)]);
      }
    }
  }
  kernels::set_threads(before);
}

INSTANTIATE_TEST_SUITE_P(Weights, BatchTest,
                         ::testing::Values(core::DType::kF32, core::DType::kBF16),
                         [](const auto& shape) { return core::dtype_name(shape.param); });

TEST(DecoderLimitTest, HalfWeightsAreTheModelWithRoundedMatrices) {
  const Options model = test::tiny("qwen3", true);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 13, 4).ids;
  Decoder half(model, *params, {.max_tokens = 13, .weights = core::DType::kBF16});
  const std::vector<float> got = feed(half, ids);
  for (Param& param : params->all) {
    if (param.spec.shape.rank() < 2) continue;
    const Tensor rounded =
        Tensor::of(param.spec.shape, core::to_floats(param.value), core::DType::kBF16);
    const std::vector<float> values = core::to_floats(rounded);
    core::copy_from_host(values.data(), values.size() * sizeof(float), param.value);
  }
  Decoder wide(model, *params, {.max_tokens = 13});
  EXPECT_EQ(got, feed(wide, ids));
}

TEST(DecoderLimitTest, AHalfCacheRoundsKeysAndValuesAlone) {
  const Options model = test::tiny("qwen3", true);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::vector<std::int32_t> ids = test::Batch(model, 1, 40, 4).ids;
  Decoder half(model, *params, {.max_tokens = 40, .cache = core::DType::kBF16});
  Decoder wide(model, *params, {.max_tokens = 40});
  const std::vector<float> got = feed(half, ids);
  const std::vector<float> want = feed(wide, ids);
  EXPECT_NE(got, want);
  EXPECT_LT(test::relative_error({got.begin(), got.end()}, {want.begin(), want.end()}), 1e-2);
}

TEST(DecoderLimitTest, AForgottenSequenceStartsAnew) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  Decoder decoder(model, *params, {.max_tokens = 4});
  const std::array<std::int32_t, 3> ids{5, 6, 7};
  const std::vector<float> first = feed(decoder, ids);
  decoder.forget(0);
  EXPECT_EQ(feed(decoder, ids), first);
}

std::int32_t sample(std::span<const float> logits, const SamplingOptions& how, std::int64_t i) {
  return Sampler(how).pick(logits, i);
}

TEST(SampleTest, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(sample(std::array{1.0F, 5.0F, 5.0F, 2.0F}, {}, 0), 1);
  std::vector<float> many(5000, -3.0F);
  many[4100] = many[2050] = many[2040] = 2.0F;
  EXPECT_EQ(sample(many, {}, 0), 2040);
}

/// The choice from a whole sort, all in f64.
std::int32_t sorted_choice(const std::vector<float>& logits, const SamplingOptions& how,
                           std::int64_t i) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  std::vector<double> weights;
  for (const std::int32_t id : ids) {
    weights.push_back(std::exp((double{logit(id)} - double{logit(ids[0])}) / how.temperature));
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t count = 0;
  double kept = 0;
  while (count < ids.size() && (count == 0 || kept < how.top_p * total)) kept += weights[count++];
  const core::RngCell cell{how.seed, core::Purpose::kSampling, 0, 0, 0};
  double left = core::uniform(cell, static_cast<std::uint64_t>(i)) * kept;
  for (std::size_t k = 0; k < count; ++k) {
    left -= weights[k];
    if (left < 0) return ids[k];
  }
  return ids[count - 1];
}

TEST(SampleTest, SortingOnlyWhatIsNeededChoosesTheSame) {
  for (const double top_p : {1.0, 0.99, 0.9, 0.3}) {
    for (const double temperature : {0.3, 1.0, 5.0}) {
      const SamplingOptions how{temperature, top_p, 11};
      Sampler sampler(how);
      for (std::int64_t i = 0; i < 20; ++i) {
        std::vector<float> logits =
            core::to_floats(test::random({1000 + i}, static_cast<std::uint64_t>(i), 2.0F));
        for (std::size_t k = 0; k < 300; ++k) logits[3 * k] = logits[0];  // equals
        EXPECT_EQ(sampler.pick(logits, i), sorted_choice(logits, how, i));
      }
    }
  }
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

using Prompts = std::vector<std::vector<std::int32_t>>;

TEST(GenerateTest, StopsAtAStopTokenOrTheLimit) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const Prompts prompts{{3, 1, 4}};
  GenerateOptions how;
  how.max_new_tokens = 9;
  std::vector<std::int32_t> told;
  const auto all = generate(model, params, prompts, how,
                            [&](std::size_t, std::int32_t id) { told.push_back(id); })[0];
  EXPECT_EQ(all.size(), 9U);
  EXPECT_EQ(told, all);
  how.stop_ids = {all[4]};
  const auto end = std::find(all.begin(), all.end(), all[4]) + 1;
  EXPECT_EQ(generate(model, params, prompts, how)[0], std::vector<std::int32_t>(all.begin(), end));
  how.max_new_tokens = 0;
  EXPECT_EQ(generate(model, params, prompts, how), Prompts(1));
}

TEST(GenerateTest, SamplesOfAPromptHaveStreamsOfTheirOwn) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const Prompts prompts{{3, 1, 4}, {1, 5}, {3, 1, 4}};
  GenerateOptions how;
  how.max_new_tokens = 20;
  how.sampling = {1.0, 1.0, 3};
  const Prompts alone = generate(model, params, prompts, how);
  how.samples = 4;
  const Prompts want = generate(model, params, prompts, how);
  ASSERT_EQ(want.size(), 12U);
  EXPECT_EQ(std::set(want.begin(), want.end()).size(), 8U);  // two prompts are equal
  for (std::size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(want[4 * i], alone[i]);
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(want[k], want[8 + k]);
  for (const std::int64_t at_once : {1, 2, 5, 16}) {
    how.sequences_at_once = at_once;
    EXPECT_EQ(generate(model, params, prompts, how), want) << at_once;
  }
}

TEST(GenerateTest, CachesThatFitNoMachineAreRefused) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const Prompts prompts{{3}};
  GenerateOptions how;
  how.max_new_tokens = std::int64_t{1} << 45;
  const std::string message = test::message_of([&] { generate(model, params, prompts, how); });
  EXPECT_NE(message.find("keys and values of 1 sequences"), std::string::npos) << message;
  EXPECT_NE(message.find("available are"), std::string::npos) << message;
}

TEST(GenerateTest, EveryPromptGoesOnAsItDoesAlone) {
  const Options model = test::tiny("qwen3", false);
  const auto params = test::random_params(model, {test::whole(model)});
  Prompts prompts;
  for (std::uint64_t i = 0; i < 7; ++i) {
    prompts.push_back(test::Batch(model, 1, static_cast<std::int64_t>(1 + 17 * i), i).ids);
  }
  GenerateOptions how;
  how.max_new_tokens = 25;
  how.sampling = {1.0, 0.9, 3};
  how.stop_ids = {4, 9};  // so that they end at different times
  Prompts want;
  for (const auto& prompt : prompts) {
    want.push_back(generate(model, params, std::span(&prompt, 1), how)[0]);
  }
  std::set<std::size_t> lengths;
  for (const auto& ids : want) lengths.insert(ids.size());
  EXPECT_GT(lengths.size(), 2U);
  for (const std::int64_t at_once : {1, 2, 3, 16}) {
    how.sequences_at_once = at_once;
    EXPECT_EQ(generate(model, params, prompts, how), want) << at_once;
  }
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
