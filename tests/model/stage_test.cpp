// Part of Ropewalk, MIT licence.
#include "model/stage.h"

#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "model/head.h"
#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Tensor;
using test::Batch;

Stage make(const Options& options, const StageRange& range) {
  return {options, range, test::random_params(options, {range})};
}

TEST(StageTest, SameBitsEveryTimeWithTheSameThreads) {
  const Options model = test::tiny("qwen3", true);
  const Batch batch(model, 3, 7, 1);
  const int before = kernels::threads();
  for (const int count : {1, 2}) {
    kernels::set_threads(count);
    Stage first = make(model, test::whole(model));
    Stage second = make(model, test::whole(model));
    EXPECT_EQ(test::learn_from(first, batch), test::learn_from(second, batch));
    EXPECT_EQ(test::gradients(first.params()), test::gradients(second.params()));
  }
  kernels::set_threads(before);
}

TEST(StageTest, GradientsOfMicroBatchesAddUpInAnyOrderOfTheirForwardPasses) {
  const Options model = test::tiny("llama", false);
  const Batch a(model, 1, 6, 1);
  const Batch b(model, 1, 6, 2);
  Stage plain = make(model, test::whole(model));
  test::learn_from(plain, a);
  test::learn_from(plain, b);
  Stage ahead = make(model, test::whole(model));
  core::Stream stream;
  std::unique_ptr<Saved> saved_a;
  std::unique_ptr<Saved> saved_b;
  ahead.forward(a.input(), &saved_a, stream);
  ahead.forward(b.input(), &saved_b, stream);
  ahead.backward_input(*saved_a, {}, stream);
  ahead.backward_input(*saved_b, {}, stream);
  ahead.backward_weight(std::move(saved_a), {}, stream);
  ahead.backward_weight(std::move(saved_b), {}, stream);
  EXPECT_EQ(test::gradients(plain.params()), test::gradients(ahead.params()));
}

TEST(StageTest, MicroBatchesOfDifferentLengthsShareAStage) {
  const Options model = test::tiny("llama", false);
  Stage stage = make(model, test::whole(model));
  core::Stream stream;
  const Batch small(model, 1, 3, 1);
  const Batch large(model, 2, 9, 2);
  const double want = test::mean_loss(stage, small);
  std::unique_ptr<Saved> saved;
  stage.forward(small.input(), &saved, stream);
  test::mean_loss(stage, large);
  stage.backward(std::move(saved), {}, {}, stream);
  Stage fresh = make(model, test::whole(model));
  EXPECT_EQ(test::learn_from(fresh, small), want);
  EXPECT_EQ(test::gradients(stage.params()), test::gradients(fresh.params()));
}

TEST(StageTest, RowsOfABatchDoNotSeeEachOther) {
  const Options model = test::tiny("llama", false);
  Stage stage = make(model, {0, 3, true, false});
  core::Stream stream;
  const Batch batch(model, 2, 4, 1);
  const Tensor both = stage.forward(batch.input(), nullptr, stream).y;
  StageInput second = batch.input();
  second.batch = 1;
  second.token_ids = second.token_ids.rows(4, 8);
  const Tensor alone = stage.forward(second, nullptr, stream).y;
  EXPECT_LT(test::relative_error(alone, test::numbers(both.rows(4, 8))), 1e-6);
}

TEST(StageTest, PaddingCountsNothing) {
  const Options model = test::tiny("llama", true);
  Stage stage = make(model, test::whole(model));
  core::Stream stream;
  StageInput input = Batch(model, 1, 4, 1).input();
  input.targets = test::ints({-1, -100, -1, -1});
  std::unique_ptr<Saved> saved;
  const StageOutput out = stage.forward(input, &saved, stream);
  EXPECT_EQ(out.loss_sum, 0.0);
  EXPECT_EQ(out.loss_tokens, 0);
  stage.backward(std::move(saved), {}, {}, stream);
  for (const auto& [name, numbers] : test::gradients(stage.params())) {
    for (const float number : numbers) ASSERT_EQ(number, 0.0F) << name;
  }
}

TEST(StageTest, EvaluationKeepsNothing) {
  const Options model = test::tiny("llama", true);
  Stage stage = make(model, test::whole(model));
  core::Stream stream;
  const Batch batch(model, 2, 5, 1);
  std::unique_ptr<Saved> saved;
  const double trained = stage.forward(batch.input(), &saved, stream).loss_sum;
  ASSERT_NE(saved, nullptr);
  EXPECT_GT(saved->bytes(), 0);
  StageInput input = batch.input();
  input.gradient_scale = 0;
  EXPECT_EQ(stage.forward(input, &saved, stream).loss_sum, trained);
  EXPECT_EQ(saved, nullptr);
  EXPECT_EQ(stage.forward(input, &saved, stream).loss_tokens, batch.real);
}

TEST(StageTest, BackwardInputFreesWhatTheWeightsDoNotNeed) {
  const Options model = test::tiny("qwen3", false);
  Stage stage = make(model, {0, 3, false, false});
  core::Stream stream;
  StageInput input;
  input.batch = 2;
  input.tokens = 8;
  input.x = test::random({16, model.hidden_size}, 1);
  std::unique_ptr<Saved> saved;
  stage.forward(input, &saved, stream);
  const std::int64_t after_forward = saved->bytes();
  stage.backward_input(*saved, test::random({16, model.hidden_size}, 2), stream);
  // At least what one layer keeps for its weights: normed, attended, normed_mid, gated.
  EXPECT_GE(saved->bytes(), 3 * 16 * (12 + 24 + 12 + 20) * 4);
  EXPECT_LT(saved->bytes(), 2 * after_forward);
}

TEST(StageTest, ReportsEveryBucketOnceAndWhenItIsComplete) {
  const Options model = test::tiny("llama", false);
  Stage stage = make(model, test::whole(model));
  core::Stream stream;
  std::unique_ptr<Saved> saved;
  stage.forward(Batch(model, 1, 4, 1).input(), &saved, stream);
  std::vector<int> reported;
  std::vector<std::vector<float>> then;
  stage.backward(
      std::move(saved), {},
      [&](int bucket) {
        reported.push_back(bucket);
        then.push_back(
            core::to_floats(stage.params().bucket_grads[static_cast<std::size_t>(bucket)]));
      },
      stream);
  EXPECT_EQ(reported, (std::vector<int>{7, 6, 5, 4, 3, 2, 0, 1}));  // the embedding before the last
  EXPECT_EQ(reported, stage.buckets());
  for (std::size_t i = 0; i < reported.size(); ++i) {
    const auto bucket = static_cast<std::size_t>(reported[i]);
    EXPECT_EQ(then[i], core::to_floats(stage.params().bucket_grads[bucket])) << bucket;
  }
}

TEST(StageTest, SharedTiedEmbeddingIsOneTensorForBothEndsOfOneRank) {
  const Options model = test::tiny("llama", true);
  const StageRange front{0, 1, true, false};
  const StageRange back{1, 3, false, true};
  const auto params = test::random_params(model, {front, back});
  Stage first(model, front, params);
  Stage second(model, back, params);
  EXPECT_EQ(first.buckets(), (std::vector<int>{2, 0, 1}));
  EXPECT_EQ(second.buckets(), (std::vector<int>{7, 0, 6, 5, 4, 3}));
  core::Stream stream;
  const Batch batch(model, 1, 6, 1);
  StageInput input = batch.input();
  std::unique_ptr<Saved> saved_first;
  std::unique_ptr<Saved> saved_second;
  input.x = first.forward(input, &saved_first, stream).y;
  second.forward(input, &saved_second, stream);
  const Tensor dy = second.backward(std::move(saved_second), {}, {}, stream);
  first.backward(std::move(saved_first), dy, {}, stream);
  Stage one = make(model, test::whole(model));
  test::learn_from(one, batch);
  EXPECT_EQ(test::gradients(one.params()), test::gradients(*params));
}

TEST(StageTest, RefusesInputsThatDoNotFit) {
  const Options model = test::tiny("llama", false);
  Stage stage = make(model, test::whole(model));
  core::Stream stream;
  StageInput input = Batch(model, 2, 4, 1).input();
  input.tokens = 5;
  EXPECT_EQ(test::message_of([&] { stage.forward(input, nullptr, stream); }),
            "Stage::forward: got token_ids i32 [8]; want i32 [10]");
  input.tokens = 0;
  EXPECT_EQ(test::message_of([&] { stage.forward(input, nullptr, stream); }),
            "Stage::forward: got batch 2, tokens 0, want both >= 1");
  EXPECT_EQ(test::message_of([&] {
              make(model, {2, 4, false, false});
            }),
            "Stage: got layers [2, 4), want a range in [0, 3)");
}

TEST(StageTest, RefusesTheSavedOfAnotherStage) {
  const Options model = test::tiny("llama", false);
  Stage one = make(model, {0, 1, true, false});
  Stage two = make(model, {1, 3, false, false});
  core::Stream stream;
  std::unique_ptr<Saved> saved;
  one.forward(Batch(model, 1, 4, 1).input(), &saved, stream);
  const Tensor dy = test::random({4, model.hidden_size}, 1);
  EXPECT_NE(test::message_of([&] { two.backward_input(*saved, dy, stream); }), "no error");
}

TEST(StageTest, GradientsComeAsTheirStageAddsToThem) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  Stage stage(model, test::whole(model), params);
  const Batch batch(model, 2, 5, 1);
  core::Stream stream;
  const auto held = [&] {
    return std::count_if(params->bucket_grads.begin(), params->bucket_grads.end(),
                         [](const Tensor& grads) { return grads.address() != nullptr; });
  };
  const auto run = [&](bool backward_next, int held_after_forward) {
    std::unique_ptr<Saved> saved;
    StageInput input = batch.input();
    input.backward_next = backward_next;
    params->drop_grad();
    EXPECT_EQ(held(), 0);
    stage.forward(input, &saved, stream);
    EXPECT_EQ(held(), held_after_forward);
    stage.backward(std::move(saved), {}, {}, stream);
    EXPECT_EQ(held(), params->buckets);
    return test::gradients(*params);
  };
  const auto separate = run(false, 0);
  EXPECT_EQ(run(true, 1), separate);
  params->zero_grad(stream);
  std::unique_ptr<Saved> saved;
  stage.forward(batch.input(), &saved, stream);
  stage.backward(std::move(saved), {}, {}, stream);
  EXPECT_EQ(test::gradients(*params), separate);
}

class HeadChunks : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(HeadChunks, GiveTheNumbersOfOnePiece) {
  const Options model = test::tiny("llama", false);
  const StageRange range{3, 3, false, true};
  const auto params = test::random_params(model, {range});
  const Batch batch(model, 1, 11, 1);
  const Tensor x = test::random({11, model.hidden_size}, 2);
  core::Stream stream;
  const auto run = [&](std::int64_t logits_bytes, Head::Gradients how, Tensor& dx) {
    params->zero_grad(stream);
    Head head(model, *params, logits_bytes);
    HeadSaved saved;
    const HeadLoss loss = head.forward(x, test::ints(batch.targets), 0.5F, &saved, how, stream);
    dx = saved.dx;
    head.backward_weight(saved, stream);
    EXPECT_EQ(loss.tokens, batch.real);
    return loss.sum;
  };
  Tensor dx_whole;
  Tensor dx;
  const double whole = run(kLogitsBytes, Head::Gradients::kKeep, dx_whole);
  const auto grads = test::gradients(*params);
  EXPECT_NEAR(run(GetParam(), Head::Gradients::kKeep, dx), whole, 1e-5);
  EXPECT_LT(test::relative_error(dx, test::numbers(dx_whole)), 1e-6);
  for (const auto& [name, numbers] : grads) {
    const test::Numbers want(numbers.begin(), numbers.end());
    EXPECT_LT(test::relative_error(params->find(name)->grad, want), 1e-6) << name;
  }
  const auto kept = test::gradients(*params);
  Tensor dx_added;
  run(GetParam(), Head::Gradients::kAdd, dx_added);
  EXPECT_EQ(core::to_floats(dx_added), core::to_floats(dx));
  EXPECT_EQ(test::gradients(*params), kept);
}

INSTANTIATE_TEST_SUITE_P(Bytes, HeadChunks, ::testing::Values(1, 23 * 4, 3 * 23 * 4, 10 * 23 * 4));

}  // namespace
}  // namespace rw::model
