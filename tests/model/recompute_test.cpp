// Part of Ropewalk, MIT licence.
// What a block makes again has the bits of what it would have kept.
#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Tensor;
using test::Batch;

struct Case {
  const char* family;
  bool tied;
  RecomputeOptions recompute;
  bool split;  // backward_input and backward_weight instead of backward
};

void PrintTo(const Case& tested, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << tested.family << (tested.tied ? ", tied, " : ", untied, ")
       << kRecomputeNames.at(static_cast<std::size_t>(tested.recompute.others)) << ", "
       << tested.recompute.full_layers << " full" << (tested.split ? ", split" : "");
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const char* family : {"llama", "qwen3"}) {
    for (const bool tied : {false, true}) {
      for (const RecomputeOptions& recompute :
           {RecomputeOptions{Recompute::kSelective}, RecomputeOptions{Recompute::kFull},
            RecomputeOptions{Recompute::kNone, 1}, RecomputeOptions{Recompute::kSelective, 1}}) {
        for (const bool split : {false, true}) out.push_back({family, tied, recompute, split});
      }
    }
  }
  return out;
}

/// Odd sizes, wider than a vector of any instruction set.
Options middling(const Case& tested) {
  Options out = test::tiny(tested.family, tested.tied);
  out.hidden_size = 52;
  out.head_dim = tested.family == std::string("llama") ? 13 * 2 : 14;
  out.num_attention_heads = 2;
  out.num_key_value_heads = 1;
  out.intermediate_size = 77;
  return out;
}

/// Two micro-batches under way at once; the losses and all gradients.
std::pair<std::vector<double>, std::vector<std::pair<std::string, std::vector<float>>>> learn(
    const Options& model, const RecomputeOptions& recompute, bool split) {
  Stage stage(model, test::whole(model), test::random_params(model, {test::whole(model)}), {},
              recompute);
  core::Stream stream;
  std::vector<double> losses;
  std::vector<std::unique_ptr<Saved>> saved(2);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    const Batch batch(model, 2, 9, i + 1);
    losses.push_back(stage.forward(batch.input(), &saved[i], stream).loss_sum);
  }
  for (auto& one : saved) {
    if (!split) {
      stage.backward(std::move(one), {}, {}, stream);
      continue;
    }
    stage.backward_input(*one, {}, stream);
  }
  if (split) {
    for (auto& one : saved) stage.backward_weight(std::move(one), {}, stream);
  }
  return {losses, test::gradients(stage.params())};
}

class EveryRecompute : public ::testing::TestWithParam<Case> {};

TEST_P(EveryRecompute, ChangesNoBit) {
  const Options model = middling(GetParam());
  const auto want = learn(model, {}, false);
  EXPECT_EQ(learn(model, GetParam().recompute, GetParam().split), want);
}

INSTANTIATE_TEST_SUITE_P(Stage, EveryRecompute, ::testing::ValuesIn(cases()));

/// What a stage of three layers without ends keeps of [16, D] after forward and after
/// backward_input.
std::pair<std::int64_t, std::int64_t> kept(const Options& model,
                                           const RecomputeOptions& recompute) {
  const StageRange middle{0, 3, false, false};
  Stage stage(model, middle, test::random_params(model, {middle}), {}, recompute);
  core::Stream stream;
  StageInput input;
  input.batch = 2;
  input.tokens = 8;
  input.x = test::random({16, model.hidden_size}, 1);
  std::unique_ptr<Saved> saved;
  stage.forward(input, &saved, stream);
  const std::int64_t after_forward = saved->bytes();
  stage.backward_input(*saved, test::random({16, model.hidden_size}, 2), stream);
  return {after_forward, saved->bytes()};
}

TEST(RecomputeTest, KeepsWhatItSays) {
  constexpr std::int64_t kRows = 16;
  constexpr std::int64_t kFloat = 4;
  constexpr std::int64_t kPositions = kRows * 4;
  const Options model = test::tiny("qwen3", false);
  const std::int64_t d = model.hidden_size;
  const std::int64_t f = model.intermediate_size;
  const std::int64_t heads = model.num_attention_heads;
  const std::int64_t kv_heads = model.num_key_value_heads;
  const std::int64_t width = (heads + 2 * kv_heads) * model.head_dim;
  const std::int64_t attended = heads * model.head_dim;
  const auto [full, full_after] = kept(model, {Recompute::kFull});
  EXPECT_EQ(full, 3 * kRows * d * kFloat + kPositions);
  const auto [selective, selective_after] = kept(model, {Recompute::kSelective});
  const std::int64_t small = heads + kv_heads + heads + 2;  // qk_rstd, lse, two rstd
  EXPECT_EQ(selective,
            3 * kRows * (2 * d + width + attended + 2 * f + small) * kFloat + kPositions);
  const auto [none, none_after] = kept(model, {Recompute::kNone});
  EXPECT_EQ(none, selective + 3 * kRows * (2 * d + width + f) * kFloat);
  EXPECT_EQ(selective_after, none_after);
  EXPECT_EQ(full_after, none_after);
  const auto [mixed, mixed_after] = kept(model, {Recompute::kSelective, 2});
  EXPECT_EQ(3 * (mixed - kPositions), 2 * (full - kPositions) + (selective - kPositions));
  EXPECT_EQ(mixed_after, none_after);
  EXPECT_EQ(kept(model, {Recompute::kNone, 7}), kept(model, {Recompute::kFull}));
}

TEST(RecomputeTest, RefusesOtherNames) {
  EXPECT_EQ(recompute_of("selective"), Recompute::kSelective);
  EXPECT_EQ(test::message_of([] { recompute_of("some"); }),
            "train.recompute: got some, want none, selective or full");
}

}  // namespace
}  // namespace rw::model
