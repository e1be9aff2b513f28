// Part of Ropewalk, MIT licence.
#include "kernels/rope/rope.h"

#include <gtest/gtest.h>

#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

struct Tables {
  Tables(std::int64_t positions, std::int64_t half) {
    std::vector<float> c;
    std::vector<float> s;
    for (std::int64_t p = 0; p < positions; ++p) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(p) * std::pow(10.0, -static_cast<double>(i));
        c.push_back(static_cast<float>(std::cos(angle)));
        s.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    cos = Tensor::of({positions, half}, c);
    sin = Tensor::of({positions, half}, s);
  }
  Tensor cos, sin;
};

Numbers reference(Numbers x, std::size_t width, const std::vector<std::int32_t>& positions,
                  std::size_t half, std::size_t heads) {
  for (std::size_t n = 0; n < positions.size(); ++n) {
    for (std::size_t head = 0; head < heads; ++head) {
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = positions[n] * std::pow(10.0, -static_cast<double>(i));
        double& a = x[n * width + head * 2 * half + i];
        double& b = x[n * width + head * 2 * half + half + i];
        const double first = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = first;
      }
    }
  }
  return x;
}

TEST(RopeTest, EqualsFloat64AndLeavesTheOtherHeads) {
  const std::vector<std::int32_t> positions{0, 5, 2, 31};
  for (const std::int64_t half : {1, 3, 16}) {
    const Tables tables(32, half);
    Stream stream;
    Tensor x = test::random({4, 5 * 2 * half}, 1);
    const Numbers want = reference(test::numbers(x), static_cast<std::size_t>(10 * half), positions,
                                   static_cast<std::size_t>(half), 3);
    rope(x, test::ints(positions), tables.cos, tables.sin, 3, Rotation::kForward, stream);
    EXPECT_LT(test::relative_error(x, want), 1e-6);
  }
}

TEST(RopeTest, QuarterTurn) {
  Stream stream;
  const Tensor cos = Tensor::of({1, 1}, {0});
  const Tensor sin = Tensor::of({1, 1}, {1});
  Tensor x = Tensor::of({1, 2}, {3, 4});
  rope(x, test::ints({0}), cos, sin, 1, Rotation::kForward, stream);
  EXPECT_EQ(core::to_floats(x), (std::vector<float>{-4, 3}));
}

TEST(RopeTest, BackwardIsTheFiniteDifference) {
  const std::vector<std::int32_t> positions{3, 1, 7};
  const Tables tables(8, 2);
  Stream stream;
  const Tensor x = test::random({3, 12}, 1);
  Tensor grad = test::random({3, 12}, 2);
  const Numbers dout = test::numbers(grad);
  rope(grad, test::ints(positions), tables.cos, tables.sin, 2, Rotation::kBackward, stream);
  const auto loss = [&](const Numbers& at) {
    return test::dot(reference(at, 12, positions, 2, 2), dout);
  };
  EXPECT_LT(test::relative_error(grad, test::numeric_gradient(loss, test::numbers(x))), 1e-6);
}

TEST(RopeTest, BackwardUndoesForward) {
  const Tables tables(600, 4);
  Stream stream;
  Tensor x = test::random({600, 16}, 1);
  const Numbers before = test::numbers(x);
  std::vector<std::int32_t> positions;
  for (std::int32_t i = 0; i < 600; ++i) positions.push_back(i);
  rope(x, test::ints(positions), tables.cos, tables.sin, 2, Rotation::kForward, stream);
  EXPECT_GT(test::relative_error(x, before), 0.1);
  rope(x, test::ints(positions), tables.cos, tables.sin, 2, Rotation::kBackward, stream);
  EXPECT_LT(test::relative_error(x, before), 1e-6);
}

TEST(RopeTest, RefusesWhatDoesNotFit) {
  const Tables tables(4, 2);
  Stream stream;
  Tensor x = test::random({1, 8}, 1);
  EXPECT_EQ(test::message_of([&] {
              rope(x, test::ints({0}), tables.cos, tables.sin, 3, Rotation::kForward, stream);
            }),
            "rope: got 3 rotated heads of 4 in x f32 [1, 8]; want at most the width of x");
  EXPECT_EQ(test::message_of([&] {
              rope(x, test::ints({0, 1}), tables.cos, tables.sin, 2, Rotation::kForward, stream);
            }),
            "rope: got positions i32 [2]; want i32 [1]");
  EXPECT_NE(test::message_of([&] {
              rope(x, test::ints({4}), tables.cos, tables.sin, 2, Rotation::kForward, stream);
            }),
            "no error");
}

}  // namespace
}  // namespace rw::kernels
