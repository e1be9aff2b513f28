// Part of Ropewalk, MIT licence.
#include "kernels/swiglu/swiglu.h"

#include <gtest/gtest.h>

#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

Numbers reference(const Numbers& gate_up, std::size_t width) {
  Numbers out;
  for (std::size_t row = 0; row < gate_up.size(); row += 2 * width) {
    for (std::size_t i = 0; i < width; ++i) {
      const double gate = gate_up[row + i];
      out.push_back(gate / (1 + std::exp(-gate)) * gate_up[row + width + i]);
    }
  }
  return out;
}

TEST(SwigluTest, ForwardEqualsFloat64) {
  Stream stream;
  for (const auto& [rows, width] : {std::pair{1, 1}, {3, 5}, {17, 129}, {64, 352}}) {
    const Tensor gate_up = test::random({rows, 2 * width}, 1, 4.0F);
    Tensor out = test::nans({rows, width});
    swiglu_forward(gate_up, out, stream);
    EXPECT_LT(test::relative_error(
                  out, reference(test::numbers(gate_up), static_cast<std::size_t>(width))),
              1e-6);
  }
}

TEST(SwigluTest, BackwardIsTheFiniteDifference) {
  Stream stream;
  for (const auto& [rows, width] : {std::pair{1, 1}, {3, 5}, {2, 67}}) {
    const Tensor gate_up = test::random({rows, 2 * width}, 1, 2.0F);
    const Tensor dout = test::random({rows, width}, 2);
    Tensor grad = test::nans({rows, 2 * width});
    swiglu_backward(gate_up, dout, grad, stream);
    const auto w = static_cast<std::size_t>(width);
    const auto loss = [&, w](const Numbers& x) {
      return test::dot(reference(x, w), test::numbers(dout));
    };
    EXPECT_LT(test::relative_error(grad, test::numeric_gradient(loss, test::numbers(gate_up))),
              2e-6);
  }
}

TEST(SwigluTest, BackwardMayOverwriteItsInput) {
  Stream stream;
  Tensor gate_up = test::random({9, 70}, 1);
  const Tensor dout = test::random({9, 35}, 2);
  Tensor grad = test::nans({9, 70});
  swiglu_backward(gate_up, dout, grad, stream);
  swiglu_backward(gate_up, dout, gate_up, stream);
  EXPECT_EQ(core::to_floats(gate_up), core::to_floats(grad));
}

TEST(SwigluTest, HugeGatesSaturate) {
  Stream stream;
  const Tensor gate_up = Tensor::of({1, 6}, {200, -200, 0, 2, 3, 4});
  Tensor out = Tensor::empty({1, 3});
  swiglu_forward(gate_up, out, stream);
  EXPECT_EQ(core::to_floats(out)[0], 400.0F);
  EXPECT_NEAR(core::to_floats(out)[1], 0.0F, 1e-30F);
  EXPECT_EQ(core::to_floats(out)[2], 0.0F);
  Tensor grad = Tensor::empty({1, 6});
  swiglu_backward(gate_up, Tensor::of({1, 3}, {1, 1, 1}), grad, stream);
  EXPECT_EQ(core::to_floats(grad)[0], 2.0F);
  EXPECT_EQ(core::to_floats(grad)[2], 2.0F);  // slope of silu at 0 is 1/2
  EXPECT_EQ(core::to_floats(grad)[3], 200.0F);
}

TEST(SwigluTest, RefusesWhatDoesNotFit) {
  Stream stream;
  const Tensor gate_up = Tensor::zeros({2, 5});
  Tensor out = Tensor::zeros({2, 3});
  EXPECT_EQ(test::message_of([&] { swiglu_forward(gate_up, out, stream); }),
            "swiglu_forward: got gate_up f32 [2, 5]; want f32 [2, 6]");
}

}  // namespace
}  // namespace rw::kernels
