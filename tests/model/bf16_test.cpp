// Part of Ropewalk, MIT licence.
// A stage whose products are in bf16: it follows f32 within the bands stated here, keeps f32 where
// it should, and gives the same bits whichever way the backward pass is walked.
#include <gtest/gtest.h>

#include "model/tiny.h"

namespace rw::model {
namespace {

using core::DType;
using core::Tensor;
using test::Batch;
using test::Numbers;

/// Products read numbers of 8 bits: each is off by up to 2^-8, 0.2 % in the mean, and a gradient of
/// three layers passes some thirty of them one after the other. Seen: 2.2 % of the length of a
/// gradient at most, 1.2 % in the mean over parameters, 5e-4 of the loss. Allowed, of that length:
constexpr double kGradientBand = 0.04;
constexpr double kLossBand = 0.002;  // of the loss

struct Case {
  const char* family;
  bool tied;
};

Options model_of(const Case& tested) {
  Options out = test::tiny(tested.family, tested.tied);
  out.hidden_size = 64;
  out.head_dim = 16;
  out.intermediate_size = 96;
  out.initializer_range = 0.1;
  return out;
}

std::shared_ptr<Params> params_in(DType dtype, const Options& model,
                                  const std::vector<StageRange>& ranges) {
  auto out = test::random_params(model, ranges);
  core::Stream stream;
  if (dtype == DType::kBF16) out->compute_in_bf16();
  out->hold_copies(stream);
  return out;
}

struct Learned {
  double loss = 0;
  std::vector<std::pair<std::string, std::vector<float>>> gradients;
  bool operator==(const Learned&) const = default;
};

Learned learn(const Options& model, DType dtype, const RecomputeOptions& recompute = {},
              bool split = false) {
  Stage stage(model, test::whole(model), params_in(dtype, model, {test::whole(model)}), {},
              recompute);
  const Batch batch(model, 2, 9, 3);
  core::Stream stream;
  std::unique_ptr<Saved> saved;
  Learned out;
  out.loss =
      stage.forward(batch.input(), &saved, stream).loss_sum / static_cast<double>(batch.real);
  if (split) {
    stage.backward_input(*saved, {}, stream);
    stage.backward_weight(std::move(saved), {}, stream);
  } else {
    stage.backward(std::move(saved), {}, {}, stream);
  }
  out.gradients = test::gradients(stage.params());
  return out;
}

double length(const Numbers& x) { return std::sqrt(test::dot(x, x)); }

class StageInBf16 : public ::testing::TestWithParam<Case> {};

TEST_P(StageInBf16, FollowsF32) {
  const Options model = model_of(GetParam());
  const Learned want = learn(model, DType::kF32);
  const Learned got = learn(model, DType::kBF16);
  EXPECT_NEAR(got.loss, want.loss, kLossBand * want.loss);
  EXPECT_NE(got.loss, want.loss);  // or nothing was computed in bf16
  for (std::size_t i = 0; i < want.gradients.size(); ++i) {
    const Numbers exact(want.gradients[i].second.begin(), want.gradients[i].second.end());
    Numbers apart(got.gradients[i].second.begin(), got.gradients[i].second.end());
    for (std::size_t k = 0; k < exact.size(); ++k) apart[k] -= exact[k];
    EXPECT_LT(length(apart), kGradientBand * length(exact)) << want.gradients[i].first;
  }
}

TEST_P(StageInBf16, EveryRecomputeAndBothWaysBackGiveTheSameBits) {
  const Options model = model_of(GetParam());
  const Learned want = learn(model, DType::kBF16);
  for (const Recompute recompute : {Recompute::kNone, Recompute::kSelective, Recompute::kFull}) {
    for (const bool split : {false, true}) {
      EXPECT_EQ(learn(model, DType::kBF16, {recompute}, split), want)
          << kRecomputeNames.at(static_cast<std::size_t>(recompute)) << split;
    }
  }
}

TEST_P(StageInBf16, PiecesHandOnF32AndGiveTheBitsOfTheWhole) {
  const Options model = model_of(GetParam());
  const std::vector<StageRange> parts{{0, 2, true, false}, {2, 3, false, true}};
  Stage front(model, parts[0], params_in(DType::kBF16, model, {parts[0]}));
  Stage back(model, parts[1], params_in(DType::kBF16, model, {parts[1]}));
  const Batch batch(model, 2, 9, 3);
  core::Stream stream;
  StageInput input = batch.input();
  input.x = front.forward(input, nullptr, stream).y;
  EXPECT_EQ(input.x.dtype(), DType::kF32);
  const double loss = back.forward(input, nullptr, stream).loss_sum;
  EXPECT_EQ(loss / static_cast<double>(batch.real), learn(model, DType::kBF16).loss);
}

INSTANTIATE_TEST_SUITE_P(Stage, StageInBf16,
                         ::testing::Values(Case{"llama", false}, Case{"llama", true},
                                           Case{"qwen3", false}, Case{"qwen3", true}),
                         [](const auto& tested) {
                           return std::string(tested.param.family) +
                                  (tested.param.tied ? "_tied" : "");
                         });

TEST(ParamsInBf16, EveryMatrixThatAProductReadsHasACopy) {
  for (const bool tied : {false, true}) {
    const Options model = test::tiny("qwen3", tied);
    const auto params = params_in(DType::kBF16, model, {test::whole(model)});
    for (const Weight& weight : params->weights) {
      const bool looked_up = !tied && weight.name == "model.embed_tokens.weight";
      const bool wanted = weight.value.shape().rank() == 2 && !looked_up;
      ASSERT_EQ(weight.copy.defined(), wanted) << weight.name;
      if (!wanted) continue;
      EXPECT_EQ(core::to_floats(weight.copy),
                core::to_floats(test::as(weight.value, DType::kBF16)));
    }
  }
}

TEST(ParamsInBf16, ATiedTableWithoutTheHeadHasNoCopy) {
  const Options model = test::tiny("llama", true);
  const auto front = params_in(DType::kBF16, model, {{0, 1, true, false}});
  EXPECT_FALSE(front->weight("model.embed_tokens.weight").copy.defined());
  const auto back = params_in(DType::kBF16, model, {{1, 3, false, true}});
  EXPECT_TRUE(back->weight("model.embed_tokens.weight").copy.defined());
}

TEST(ParamsInBf16, DroppedCopiesHaveNoMemoryUntilTheyTakeTheValuesOver) {
  const Options model = test::tiny("llama", false);
  const auto params = params_in(DType::kBF16, model, {test::whole(model)});
  core::Stream stream;
  for (Param& param : params->all) core::fill_normal(9, param.spec.name, 1.0F, 0, param.value);
  const Weight& qkv = params->weight("model.layers.1.self_attn.qkv_proj.weight");
  const Weight& other = params->weight("model.layers.0.self_attn.qkv_proj.weight");
  const auto before = core::to_floats(other.copy);
  params->drop_copies(qkv.bucket);
  EXPECT_EQ(qkv.copy.address(), nullptr);
  EXPECT_TRUE(qkv.copy.defined());
  params->hold_copies(stream);
  EXPECT_EQ(core::to_floats(qkv.copy), core::to_floats(test::as(qkv.value, DType::kBF16)));
  EXPECT_EQ(core::to_floats(other.copy), before);  // it was not dropped
}

}  // namespace
}  // namespace rw::model
