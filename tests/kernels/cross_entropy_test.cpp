// Part of Ropewalk, MIT licence.
#include "kernels/cross_entropy/cross_entropy.h"

#include <gtest/gtest.h>

#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

Numbers reference(const Numbers& logits, const std::vector<std::int32_t>& targets) {
  Numbers out;
  const std::size_t vocab = logits.size() / targets.size();
  for (std::size_t n = 0; n < targets.size(); ++n) {
    double sum = 0;
    for (std::size_t v = 0; v < vocab; ++v) sum += std::exp(logits[n * vocab + v]);
    const bool padding = targets[n] < 0;
    out.push_back(
        padding ? 0.0 : std::log(sum) - logits[n * vocab + static_cast<std::size_t>(targets[n])]);
  }
  return out;
}

std::vector<std::int32_t> some_targets(std::int64_t rows, std::int64_t vocab) {
  std::vector<std::int32_t> out;
  for (std::int64_t n = 0; n < rows; ++n) {
    out.push_back(n % 4 == 3 ? -1 : static_cast<std::int32_t>(n * 31 % vocab));
  }
  return out;
}

TEST(CrossEntropyTest, UniformLogitsCostTheLogarithmOfTheVocabulary) {
  Stream stream;
  Tensor losses = test::nans({2});
  cross_entropy_forward(Tensor::zeros({2, 7}), test::ints({0, 6}), losses, stream);
  EXPECT_FLOAT_EQ(core::to_floats(losses)[0], std::log(7.0F));
  EXPECT_FLOAT_EQ(core::to_floats(losses)[1], std::log(7.0F));
}

TEST(CrossEntropyTest, BothFormsEqualFloat64) {
  Stream stream;
  for (const auto& [rows, vocab] : {std::pair{1, 1}, {5, 3}, {9, 257}, {6, 5003}}) {
    const auto targets = some_targets(rows, vocab);
    Tensor logits = test::random({rows, vocab}, 1, 3.0F);
    const Numbers want = reference(test::numbers(logits), targets);
    Tensor losses = test::nans({rows});
    cross_entropy_forward(logits, test::ints(targets), losses, stream);
    EXPECT_LT(test::relative_error(losses, want), vocab == 1 ? 1.0 : 1e-6);
    Tensor again = test::nans({rows});
    cross_entropy_forward_backward(logits, test::ints(targets), 1.0F, again, stream);
    EXPECT_EQ(core::to_floats(again), core::to_floats(losses));
  }
}

TEST(CrossEntropyTest, GradientIsTheFiniteDifference) {
  Stream stream;
  for (const auto& [rows, vocab] : {std::pair{1, 2}, {5, 7}, {4, 129}}) {
    const auto targets = some_targets(rows, vocab);
    Tensor logits = test::random({rows, vocab}, 1, 2.0F);
    const Numbers at = test::numbers(logits);
    Tensor losses = test::nans({rows});
    cross_entropy_forward_backward(logits, test::ints(targets), 0.25F, losses, stream);
    const auto loss = [&](const Numbers& x) {
      double sum = 0;
      for (const double one : reference(x, targets)) sum += one * 0.25;
      return sum;
    };
    EXPECT_LT(test::relative_error(logits, test::numeric_gradient(loss, at)), 1e-6);
  }
}

TEST(CrossEntropyTest, PaddingHasNoLossAndNoGradient) {
  Stream stream;
  Tensor logits = test::random({2, 5}, 1);
  Tensor losses = test::nans({2});
  cross_entropy_forward_backward(logits, test::ints({-100, 2}), 1.0F, losses, stream);
  EXPECT_EQ(core::to_floats(losses)[0], 0.0F);
  EXPECT_GT(core::to_floats(losses)[1], 0.0F);
  EXPECT_EQ(core::to_floats(logits.rows(0, 1)), std::vector<float>(5, 0.0F));
}

TEST(CrossEntropyTest, LargeLogitsStayFinite) {
  Stream stream;
  Tensor logits = Tensor::of({2, 3}, {1000, 0, -1000, 1000, 0, -1000});
  Tensor losses = test::nans({2});
  cross_entropy_forward_backward(logits, test::ints({0, 1}), 1.0F, losses, stream);
  EXPECT_EQ(core::to_floats(losses), (std::vector<float>{0, 1000}));
  EXPECT_EQ(core::to_floats(logits), (std::vector<float>{0, 0, 0, 1, -1, 0}));
}

TEST(CrossEntropyTest, NanReachesTheLoss) {
  Stream stream;
  const Tensor logits = Tensor::of({1, 3}, {1, std::nanf(""), 2});
  Tensor losses = Tensor::zeros({1});
  cross_entropy_forward(logits, test::ints({0}), losses, stream);
  EXPECT_TRUE(std::isnan(core::to_floats(losses)[0]));
}

TEST(CrossEntropyTest, NamesTheFirstTargetOutside) {
  Stream stream;
  Tensor logits = Tensor::zeros({2, 3});
  Tensor losses = Tensor::zeros({2});
  EXPECT_EQ(
      test::message_of([&] {
        cross_entropy_forward(logits, test::ints({-5, 3}), losses, stream);
      }),
      "cross_entropy_forward: got target 3 at 1; want below 3, the columns of logits, or negative "
      "for padding");
  EXPECT_EQ(
      test::message_of([&] { cross_entropy_forward(logits, test::ints({0}), losses, stream); }),
      "cross_entropy_forward: got targets i32 [1]; want i32 [2]");
}

}  // namespace
}  // namespace rw::kernels
