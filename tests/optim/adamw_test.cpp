// Part of Ropewalk, MIT licence.
#include "optim/adamw.h"

#include <gtest/gtest.h>

#include <array>

#include "support/numbers.h"

namespace rw::optim {
namespace {

using core::Tensor;

Options plain() {
  Options out;
  out.lr = 0.1;
  out.beta1 = 0.9;
  out.beta2 = 0.99;
  out.eps = 1e-8;
  out.weight_decay = 0.5;
  return out;
}

TEST(AdamwTest, DecaysOnlyThoseThatSaySo) {
  Tensor a = Tensor::of({1}, {2});
  Tensor b = Tensor::of({1}, {2});
  const Tensor zero = Tensor::zeros({1});
  Adamw adamw(plain(), {{"matrix", a, zero, true}, {"norm", b, zero, false}});
  core::Stream stream;
  adamw.update(1, 0.1, std::array{1.0F, 1.0F}, stream);
  EXPECT_NEAR(core::to_floats(a)[0], 2 * (1 - 0.1 * 0.5), 1e-6);  // no gradient: decay alone
  EXPECT_EQ(core::to_floats(b)[0], 2.0F);
}

TEST(AdamwTest, TakesTheGradientTimesItsOwnScale) {
  Tensor a = Tensor::zeros({1});
  Tensor b = Tensor::zeros({1});
  const Tensor grad = Tensor::of({1}, {3});
  Adamw adamw(plain(), {{"a", a, grad, false}, {"b", b, grad, false}});
  core::Stream stream;
  adamw.update(1, 0.1, std::array{1.0F, 0.5F}, stream);
  EXPECT_NEAR(core::to_floats(adamw.exp_avg(0))[0], 0.3F, 1e-6F);
  EXPECT_NEAR(core::to_floats(adamw.exp_avg(1))[0], 0.15F, 1e-6F);
  EXPECT_NEAR(core::to_floats(adamw.exp_avg_sq(0))[0], 0.09F, 1e-6F);
  EXPECT_NEAR(core::to_floats(adamw.exp_avg_sq(1))[0], 0.0225F, 1e-6F);
}

TEST(AdamwTest, BiasCorrectionUsesTheStepItIsGiven) {
  // The same moments at step 1 and at step 1000: the corrections differ by 1 - beta^step.
  const Tensor grad = Tensor::of({1}, {1});
  Options options = plain();
  options.weight_decay = 0;
  Tensor early = Tensor::zeros({1});
  Tensor late = Tensor::zeros({1});
  core::Stream stream;
  Adamw(options, {{"w", early, grad, false}}).update(1, 0.1, std::array{1.0F}, stream);
  Adamw(options, {{"w", late, grad, false}}).update(1000, 0.1, std::array{1.0F}, stream);
  EXPECT_NEAR(core::to_floats(early)[0], -0.1, 1e-6);
  const double c1 = 1 - std::pow(0.9, 1000);
  const double c2 = 1 - std::pow(0.99, 1000);
  EXPECT_NEAR(core::to_floats(late)[0], -0.1 * (0.1 / c1) / std::sqrt(0.01 / c2), 1e-6);
}

TEST(AdamwTest, UpdatesTheOwnersMemoryThroughViews) {
  Tensor whole = Tensor::of({2, 2}, {1, 2, 3, 4});
  const Tensor grad = Tensor::of({1, 2}, {1, 1});
  Options options = plain();
  options.weight_decay = 0;
  Adamw adamw(options, {{"row", whole.rows(1, 2), grad, true}});
  core::Stream stream;
  adamw.update(1, 0.1, std::array{1.0F}, stream);
  const std::vector<float> got = core::to_floats(whole);
  EXPECT_EQ(got[0], 1.0F);
  EXPECT_EQ(got[1], 2.0F);
  EXPECT_NEAR(got[2], 2.9F, 1e-6F);
  EXPECT_NEAR(got[3], 3.9F, 1e-6F);
}

TEST(AdamwTest, MomentsStartAtZeroAndCanBeRestored) {
  Tensor first = test::random({5}, 1);
  Tensor second = test::copy_of(first);
  const Tensor grad = test::random({5}, 2);
  core::Stream stream;
  Adamw whole(plain(), {{"w", first, grad, true}});
  EXPECT_EQ(core::to_floats(whole.exp_avg(0)), std::vector<float>(5, 0.0F));
  whole.update(1, 0.1, std::array{1.0F}, stream);
  Adamw resumed(plain(), {{"w", second, grad, true}});
  core::copy(first, second, stream);
  core::copy(whole.exp_avg(0), resumed.exp_avg(0), stream);
  core::copy(whole.exp_avg_sq(0), resumed.exp_avg_sq(0), stream);
  whole.update(2, 0.05, std::array{1.0F}, stream);
  resumed.update(2, 0.05, std::array{1.0F}, stream);
  EXPECT_EQ(core::to_floats(first), core::to_floats(second));
}

TEST(AdamwTest, RefusesAWrongNumberOfScalesBeforeAnythingChanges) {
  Tensor a = Tensor::of({1}, {2});
  const Tensor grad = Tensor::of({1}, {1});
  Adamw adamw(plain(), {{"a", a, grad, true}});
  core::Stream stream;
  EXPECT_EQ(test::message_of([&] {
              adamw.update(1, 0.1, std::array{1.0F, 1.0F}, stream);
            }),
            "Adamw::update: got step 1, 2 gradient scales, want >= 1, 1");
  EXPECT_NE(test::message_of([&] { adamw.update(0, 0.1, std::array{1.0F}, stream); }), "no error");
  EXPECT_EQ(core::to_floats(a)[0], 2.0F);
}

TEST(AdamwTest, NamesTheParameterWhoseGradientDoesNotFit) {
  EXPECT_NE(test::message_of([&] {
              const Adamw adamw(plain(), {{"w", Tensor::zeros({2}), Tensor::zeros({3}), true}});
            }).find("Adamw: w: got value f32 [2], grad f32 [3]"),
            std::string::npos);
}

}  // namespace
}  // namespace rw::optim
