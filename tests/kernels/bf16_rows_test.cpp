// Part of Ropewalk, MIT licence.
// The kernels that go over rows, in bf16: the same numbers in f32 give the same results up to one
// rounding. Their f32 forms are held against float64 in tests of their own.
#include <gtest/gtest.h>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using core::DType;
using test::Numbers;

constexpr float kEps = 1e-3F;
constexpr double kOnce = 1.001;  // half steps of bf16: rounded once
const std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 1},  {3, 31},    {5, 33},
                                                         {7, 70}, {130, 129}, {2, 1000}};

Tensor nans_bf16(const core::Shape& shape) { return test::as(test::nans(shape), DType::kBF16); }

TEST(Bf16RowsTest, ConvertRoundsToNearestEven) {
  Stream stream;
  const Tensor x = Tensor::of({6}, {1.0F, 1.00390625F, 1.01171875F, -3.0e38F, 1e-40F, 0.1F});
  Tensor narrow = nans_bf16({6});
  convert(x, narrow, stream);
  // 1 + 2^-8 lies halfway to 1 + 2^-7, 1 + 3·2^-8 halfway to 1 + 2^-6; both go to the even one.
  EXPECT_EQ(core::to_floats(narrow),
            (std::vector<float>{1.0F, 1.0F, 1.015625F, -std::ldexp(1.765625F, 127),
                                std::ldexp(1.0F, -133), 0.10009765625F}));
  Tensor wide = test::nans({6});
  convert(narrow, wide, stream);
  EXPECT_EQ(core::to_floats(wide), core::to_floats(narrow));
}

TEST(Bf16RowsTest, RmsNormForward) {
  Stream stream;
  for (const auto& [rows, width] : kShapes) {
    const Tensor x = test::random({rows, width}, 1);
    const Tensor delta = test::random({rows, width}, 2);
    const Tensor weight = test::random({width}, 3);
    Tensor want = test::nans(x.shape()), sum = test::nans(x.shape()), rstd = test::nans({rows});
    Tensor y = nans_bf16(x.shape()), sum2 = test::nans(x.shape()), rstd2 = test::nans({rows});
    rms_norm_forward(x, weight, kEps, want, rstd, stream);
    rms_norm_forward(x, weight, kEps, y, rstd2, stream);
    EXPECT_LT(test::rounding_error(y, test::numbers(want)), kOnce);
    EXPECT_LT(test::relative_error(rstd2, test::numbers(rstd)), 1e-6);
    add_rms_norm_forward(x, delta, weight, kEps, sum, want, rstd, stream);
    add_rms_norm_forward(x, delta, weight, kEps, sum2, y, rstd2, stream);
    EXPECT_EQ(core::to_floats(sum2), core::to_floats(sum));
    EXPECT_LT(test::rounding_error(y, test::numbers(want)), kOnce);
  }
}

TEST(Bf16RowsTest, RmsNormBackwardTakesBf16Gradients) {
  Stream stream;
  for (const auto& [rows, width] : kShapes) {
    const Tensor x = test::random({rows, width}, 1);
    const Tensor dy = test::random_bf16({rows, width}, 2);
    const Tensor weight = test::random({width}, 3);
    const Tensor residual = test::random({rows, width}, 4);
    const Tensor rstd = test::random({rows}, 5);
    for (const Tensor& more : {Tensor(), residual}) {
      Tensor want = test::nans(x.shape()), dx = test::nans(x.shape());
      Tensor want_weight = Tensor::zeros({width}), dweight = Tensor::zeros({width});
      rms_norm_backward(test::widened(dy), x, weight, rstd, more, want, want_weight, stream);
      rms_norm_backward(dy, x, weight, rstd, more, dx, dweight, stream);
      EXPECT_LT(test::relative_error(dx, test::numbers(want)), 2e-6);
      EXPECT_LT(test::relative_error(dweight, test::numbers(want_weight)), 2e-6);
    }
  }
}

TEST(Bf16RowsTest, Swiglu) {
  Stream stream;
  for (const auto& [rows, width] : kShapes) {
    Tensor gate_up = test::random_bf16({rows, 2 * width}, 1, 3.0F);
    const Tensor dout = test::random_bf16({rows, width}, 2);
    Tensor want = test::nans({rows, width}), out = nans_bf16({rows, width});
    swiglu_forward(test::widened(gate_up), want, stream);
    swiglu_forward(gate_up, out, stream);
    EXPECT_LT(test::rounding_error(out, test::numbers(want)), kOnce);
    Tensor dwant = test::nans(gate_up.shape()), grad = nans_bf16(gate_up.shape());
    swiglu_backward(test::widened(gate_up), test::widened(dout), dwant, stream);
    swiglu_backward(gate_up, dout, grad, stream);
    EXPECT_LT(test::rounding_error(grad, test::numbers(dwant)), kOnce);
    swiglu_backward(gate_up, dout, gate_up, stream);
    EXPECT_EQ(core::to_floats(gate_up), core::to_floats(grad));
  }
}

TEST(Bf16RowsTest, RopeThereAndBack) {
  Stream stream;
  for (const std::int64_t half : {1, 3, 16, 33}) {
    const Tensor cos = test::random({5, half}, 1), sin = test::random({5, half}, 2);
    const Tensor x = test::random_bf16({4, 6 * half}, 3);
    for (const Rotation rotation : {Rotation::kForward, Rotation::kBackward}) {
      Tensor want = test::widened(x), got = test::copy_of(x);
      rope(want, test::ints({4, 0, 2, 2}), cos, sin, 2, rotation, stream);
      rope(got, test::ints({4, 0, 2, 2}), cos, sin, 2, rotation, stream);
      EXPECT_LT(test::rounding_error(got, test::numbers(want)), kOnce);
    }
  }
}

TEST(Bf16RowsTest, CrossEntropyAndItsGradientInPlace) {
  Stream stream;
  for (const auto& [rows, vocab] : {std::pair{1, 1}, {5, 3}, {9, 257}, {6, 5003}}) {
    std::vector<std::int32_t> targets;
    for (std::int32_t n = 0; n < rows; ++n) targets.push_back(n % 4 == 3 ? -1 : n * 31 % vocab);
    Tensor logits = test::random_bf16({rows, vocab}, 1, 3.0F);
    Tensor wide = test::widened(logits);
    Tensor want = test::nans({rows}), losses = test::nans({rows}), again = test::nans({rows});
    cross_entropy_forward(logits, test::ints(targets), losses, stream);
    cross_entropy_forward_backward(wide, test::ints(targets), 0.01F, want, stream);
    cross_entropy_forward_backward(logits, test::ints(targets), 0.01F, again, stream);
    EXPECT_LT(test::relative_error(losses, test::numbers(want)), vocab == 1 ? 1.0 : 1e-6);
    EXPECT_EQ(core::to_floats(again), core::to_floats(losses));
    EXPECT_LT(test::rounding_error(logits, test::numbers(wide)), kOnce);
  }
}

TEST(Bf16RowsTest, RefusesMixedDtypes) {
  Stream stream;
  Tensor f32 = Tensor::zeros({2, 6}), half = Tensor::zeros({2, 3}, DType::kBF16);
  Tensor ints = Tensor::zeros({2, 3}, DType::kI32), vector = Tensor::zeros({2});
  EXPECT_EQ(test::message_of([&] { swiglu_forward(f32, half, stream); }),
            "swiglu_forward: got gate_up f32 [2, 6]; want bf16 [2, 6]");
  EXPECT_EQ(test::message_of([&] { swiglu_forward(f32, ints, stream); }),
            "swiglu_forward: got out i32 [2, 3]; want f32 or bf16");
  EXPECT_EQ(test::message_of(
                [&] { rms_norm_forward(half, Tensor::zeros({3}), kEps, half, vector, stream); }),
            "rms_norm_forward: got x bf16 [2, 3]; want f32 [2, 3]");
}

}  // namespace
}  // namespace rw::kernels
