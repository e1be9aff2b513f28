// Part of Ropewalk, MIT licence.
#include "kernels/elementwise/elementwise.h"

#include <gtest/gtest.h>

#include "kernels/simd_math.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using core::DType;

TEST(ElementwiseTest, AddMayWriteToEitherInput) {
  Stream stream;
  const Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4});
  Tensor b = Tensor::of({2, 2}, {10, 20, 30, 40});
  add(a, b, b, stream);
  EXPECT_EQ(core::to_floats(b), (std::vector<float>{11, 22, 33, 44}));
}

TEST(ElementwiseTest, AccumulateScaleAndFill) {
  Stream stream;
  Tensor x = Tensor::zeros({3});
  fill(x, 2.5F, stream);
  accumulate(Tensor::of({3}, {1, 2, 3}), x, stream);
  scale(x, 2.0F, stream);
  EXPECT_EQ(core::to_floats(x), (std::vector<float>{7, 9, 11}));
}

TEST(ElementwiseTest, LongArraysAreWhole) {
  Stream stream;
  const Tensor a = test::random({100003}, 1);
  const Tensor b = test::random({100003}, 2);
  Tensor out = test::nans({100003});
  add(a, b, out, stream);
  const std::vector<float> left = core::to_floats(a);
  const std::vector<float> right = core::to_floats(b);
  const std::vector<float> sum = core::to_floats(out);
  for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], left[i] + right[i]) << i;
}

TEST(ElementwiseTest, ConvertRoundsToNearestEven) {
  Stream stream;
  // bf16 keeps 8 significant bits: 257 and 259 lie halfway between neighbours.
  const Tensor x = Tensor::of({5}, {1.0F, 257.0F, 259.0F, -257.0F, std::nanf("")});
  Tensor narrow = Tensor::empty({5}, DType::kBF16);
  convert(x, narrow, stream);
  Tensor wide = Tensor::empty({5});
  convert(narrow, wide, stream);
  const std::vector<float> got = core::to_floats(wide);
  EXPECT_EQ(std::vector<float>(got.begin(), got.begin() + 4),
            (std::vector<float>{1, 256, 260, -256}));
  EXPECT_TRUE(std::isnan(got[4]));
}

TEST(ElementwiseTest, RefusesWhatDoesNotFit) {
  Stream stream;
  const Tensor a = Tensor::zeros({3});
  Tensor out = Tensor::zeros({4});
  EXPECT_EQ(test::message_of([&] { add(a, a, out, stream); }), "add: got a f32 [3]; want f32 [4]");
  EXPECT_EQ(test::message_of([&] { accumulate(a, out, stream); }),
            "accumulate: got x f32 [3]; want f32 [4]");
  Tensor whole = test::ints({1, 2, 3});
  EXPECT_EQ(test::message_of([&] { convert(a, whole, stream); }),
            "convert: got x f32 [3], out i32 [3]; want f32 or bf16 with the same number of "
            "elements");
}

TEST(FastExpTest, WithinTwoUnitsInTheLastPlaceOfFloat64) {
  double worst = 0;
  for (double x = -87.3; x < 88.7; x += 0.00371) {
    const auto rounded = static_cast<float>(x);
    const double want = std::exp(static_cast<double>(rounded));
    const double unit = std::ldexp(1.0, std::ilogb(want) - 23);
    worst = std::max(worst, std::abs(static_cast<double>(fast_exp(rounded)) - want) / unit);
  }
  EXPECT_LT(worst, 2.0);
}

TEST(FastExpTest, EndsOfTheRange) {
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
  EXPECT_EQ(fast_exp(INFINITY), INFINITY);
  EXPECT_EQ(fast_exp(200.0F), INFINITY);
  EXPECT_EQ(fast_exp(-INFINITY), 0.0F);
  EXPECT_EQ(fast_exp(-200.0F), 0.0F);
  EXPECT_GT(fast_exp(-100.0F), 0.0F);  // a subnormal number
  EXPECT_TRUE(std::isnan(fast_exp(std::nanf(""))));
  EXPECT_EQ(fast_sigmoid(0.0F), 0.5F);
}

}  // namespace
}  // namespace rw::kernels
