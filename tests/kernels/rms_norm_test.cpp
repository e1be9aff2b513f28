// Part of Ropewalk, MIT licence.
#include "kernels/rms_norm/rms_norm.h"

#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

constexpr double kEps = 1e-3;

Numbers reference(const Numbers& x, const Numbers& weight) {
  Numbers out;
  const std::size_t width = weight.size();
  for (std::size_t row = 0; row < x.size(); row += width) {
    double squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += x[row + i] * x[row + i];
    const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(width) + kEps);
    for (std::size_t i = 0; i < width; ++i) out.push_back(x[row + i] * rstd * weight[i]);
  }
  return out;
}

struct Case {
  Case(std::int64_t rows, std::int64_t width)
      : x(test::random({rows, width}, 1)),
        weight(test::random({width}, 2)),
        y(test::nans({rows, width})),
        rstd(test::nans({rows})),
        dy(test::random({rows, width}, 3)),
        dx(test::nans({rows, width})),
        dweight(Tensor::zeros({width})) {
    rms_norm_forward(x, weight, static_cast<float>(kEps), y, rstd, stream);
    rms_norm_backward(dy, x, weight, rstd, Tensor(), dx, dweight, stream);
  }
  Stream stream;
  Tensor x, weight, y, rstd, dy, dx, dweight;
};

TEST(RmsNormTest, HandWorked) {
  Stream stream;
  const Tensor x = Tensor::of({1, 2}, {3, 4});
  const Tensor weight = Tensor::of({2}, {1, 2});
  Tensor y = Tensor::empty({1, 2});
  Tensor rstd = Tensor::empty({1});
  rms_norm_forward(x, weight, 0.0F, y, rstd, stream);  // mean of squares 12.5
  const float scale = 1.0F / std::sqrt(12.5F);
  EXPECT_FLOAT_EQ(core::to_floats(rstd)[0], scale);
  EXPECT_FLOAT_EQ(core::to_floats(y)[0], 3 * scale);
  EXPECT_FLOAT_EQ(core::to_floats(y)[1], 8 * scale);
}

TEST(RmsNormTest, ForwardEqualsFloat64) {
  for (const auto& [rows, width] : {std::pair{1, 1}, {3, 5}, {7, 129}, {130, 64}, {2, 4097}}) {
    const Case run(rows, width);
    EXPECT_LT(
        test::relative_error(run.y, reference(test::numbers(run.x), test::numbers(run.weight))),
        2e-6)
        << rows << " x " << width;
  }
}

TEST(RmsNormTest, AddForwardNormsTheSumInPlaceToo) {
  Case run(5, 33);
  const Tensor delta = test::random({5, 33}, 9);
  Numbers want = test::numbers(run.x);
  const Numbers more = test::numbers(delta);
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += more[i];
  Tensor sum = test::nans({5, 33});
  Tensor y = test::nans({5, 33});
  Tensor rstd = test::nans({5});
  const auto eps = static_cast<float>(kEps);
  add_rms_norm_forward(run.x, delta, run.weight, eps, sum, y, rstd, run.stream);
  EXPECT_LT(test::relative_error(sum, want), 1e-6);
  EXPECT_LT(test::relative_error(y, reference(want, test::numbers(run.weight))), 2e-6);
  Tensor y_in_place = test::nans({5, 33});
  add_rms_norm_forward(run.x, delta, run.weight, eps, run.x, y_in_place, rstd, run.stream);
  EXPECT_EQ(core::to_floats(run.x), core::to_floats(sum));
  EXPECT_EQ(core::to_floats(y_in_place), core::to_floats(y));
}

TEST(RmsNormTest, BackwardIsTheFiniteDifference) {
  for (const auto& [rows, width] : {std::pair{1, 3}, {3, 5}, {4, 35}, {260, 2}}) {
    const Case run(rows, width);
    const Numbers x = test::numbers(run.x);
    const Numbers weight = test::numbers(run.weight);
    const Numbers dy = test::numbers(run.dy);
    const auto by_x = [&](const Numbers& at) { return test::dot(reference(at, weight), dy); };
    const auto by_weight = [&](const Numbers& at) { return test::dot(reference(x, at), dy); };
    EXPECT_LT(test::relative_error(run.dx, test::numeric_gradient(by_x, x)), 1e-5);
    EXPECT_LT(test::relative_error(run.dweight, test::numeric_gradient(by_weight, weight)), 1e-5);
  }
}

TEST(RmsNormTest, BackwardAddsTheResidualAndMayOverwriteIt) {
  Case run(6, 40);
  Tensor residual = test::random({6, 40}, 5);
  Numbers want = test::numbers(run.dx);
  const Numbers more = test::numbers(residual);
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += more[i];
  const std::vector<float> dweight = core::to_floats(run.dweight);
  Tensor again = Tensor::zeros({40});
  rms_norm_backward(run.dy, run.x, run.weight, run.rstd, residual, residual, again, run.stream);
  EXPECT_LT(test::relative_error(residual, want), 1e-6);
  EXPECT_EQ(core::to_floats(again), dweight);
  again = Tensor::zeros({40});
  rms_norm_backward(run.dy, run.x, run.weight, run.rstd, Tensor(), run.dy, again, run.stream);
  EXPECT_EQ(core::to_floats(run.dy), core::to_floats(run.dx));
  EXPECT_EQ(core::to_floats(again), dweight);  // of dy before it was overwritten
}

TEST(RmsNormTest, WeightGradientHasOneOrderForAnyNumberOfThreads) {
  const int before = threads();
  set_threads(1);
  const Case one(300, 290);
  set_threads(2);
  const Case two(300, 290);
  set_threads(before);
  EXPECT_EQ(core::to_floats(one.dweight), core::to_floats(two.dweight));
  EXPECT_EQ(core::to_floats(one.dx), core::to_floats(two.dx));
}

TEST(RmsNormTest, RefusesWhatDoesNotFit) {
  Case run(2, 3);
  const Tensor wrong = Tensor::zeros({4});
  EXPECT_EQ(
      test::message_of([&] { rms_norm_forward(run.x, wrong, 1e-6F, run.y, run.rstd, run.stream); }),
      "rms_norm_forward: got weight f32 [4]; want f32 [3]");
  EXPECT_EQ(test::message_of([&] {
              rms_norm_backward(run.dy, run.x, run.weight, run.rstd, wrong, run.dx, run.dweight,
                                run.stream);
            }),
            "rms_norm_backward: got dresidual f32 [4]; want f32 [2, 3]");
}

}  // namespace
}  // namespace rw::kernels
