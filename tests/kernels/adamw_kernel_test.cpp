// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include "kernels/adamw/adamw.h"
#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

TEST(AdamwKernelTest, HandWorkedFirstStep) {
  Stream stream;
  Tensor param = Tensor::of({2}, {1, -1});
  Tensor m = Tensor::zeros({2});
  Tensor v = Tensor::zeros({2});
  AdamwStep how;
  how.lr = 0.1;
  how.eps = 0.0;
  adamw_update(param, Tensor::of({2}, {4, -0.25F}), m, v, how, stream);
  // Without eps the first step is lr in the gradient's direction whatever its size.
  EXPECT_NEAR(core::to_floats(param)[0], 0.9F, 1e-6F);
  EXPECT_NEAR(core::to_floats(param)[1], -0.9F, 1e-6F);
  EXPECT_NEAR(core::to_floats(m)[0], 0.4F, 1e-6F);
  EXPECT_NEAR(core::to_floats(v)[0], 0.016F, 1e-7F);
}

TEST(AdamwKernelTest, ManyStepsEqualFloat64) {
  for (const std::int64_t elems : {1, 17, 20011}) {
    Stream stream;
    Tensor param = test::random({elems}, 1);
    Tensor m = Tensor::zeros({elems});
    Tensor v = Tensor::zeros({elems});
    test::Numbers p64 = test::numbers(param);
    test::Numbers m64(p64.size(), 0.0);
    test::Numbers v64(p64.size(), 0.0);
    AdamwStep how;
    how.lr = 0.01;
    how.weight_decay = 0.1;
    how.gradient_scale = 0.5F;
    for (how.step = 1; how.step <= 10; ++how.step) {
      const Tensor grad = test::random({elems}, 100 + static_cast<std::uint64_t>(how.step));
      adamw_update(param, grad, m, v, how, stream);
      const test::Numbers g = test::numbers(grad);
      const double c1 = 1 - std::pow(how.beta1, static_cast<double>(how.step));
      const double c2 = 1 - std::pow(how.beta2, static_cast<double>(how.step));
      for (std::size_t i = 0; i < g.size(); ++i) {
        const double scaled = 0.5 * g[i];
        m64[i] = how.beta1 * m64[i] + (1 - how.beta1) * scaled;
        v64[i] = how.beta2 * v64[i] + (1 - how.beta2) * scaled * scaled;
        p64[i] -= 0.01 * 0.1 * p64[i];
        p64[i] -= 0.01 * (m64[i] / c1) / (std::sqrt(v64[i] / c2) + 1e-8);
      }
    }
    EXPECT_LT(test::relative_error(param, p64), 3e-6);
    EXPECT_LT(test::relative_error(m, m64), 3e-6);
    EXPECT_LT(test::relative_error(v, v64), 3e-6);
  }
}

TEST(AdamwKernelTest, EpsIsOutsideTheRoot) {
  Stream stream;
  Tensor param = Tensor::zeros({1});
  Tensor m = Tensor::zeros({1});
  Tensor v = Tensor::zeros({1});
  AdamwStep how;
  how.lr = 1.0;
  how.eps = 1.0;
  adamw_update(param, Tensor::of({1}, {1}), m, v, how, stream);
  EXPECT_NEAR(core::to_floats(param)[0], -0.5F, 1e-6F);  // 1 / (sqrt(1) + 1); inside: 1 / sqrt(2)
}

TEST(AdamwKernelTest, SameBitsForAnyNumberOfThreadsAndGradientUntouched) {
  const int before = threads();
  std::vector<std::vector<float>> results;
  const Tensor grad = test::random({100007}, 2);
  const std::vector<float> gradient = core::to_floats(grad);
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    Stream stream;
    Tensor param = test::random({100007}, 1);
    Tensor m = test::random({100007}, 3);
    Tensor v = Tensor::of({100007}, std::vector<float>(100007, 0.5F));
    AdamwStep how;
    how.lr = 1e-3;
    how.step = 7;
    adamw_update(param, grad, m, v, how, stream);
    results.push_back(core::to_floats(param));
  }
  set_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(core::to_floats(grad), gradient);
}

TEST(AdamwKernelTest, RefusesWhatDoesNotFit) {
  Stream stream;
  Tensor param = Tensor::zeros({2});
  Tensor m = Tensor::zeros({2});
  Tensor v = Tensor::zeros({3});
  const Tensor grad = Tensor::zeros({2});
  AdamwStep how;
  EXPECT_EQ(test::message_of([&] { adamw_update(param, grad, m, v, how, stream); }),
            "adamw_update: got exp_avg_sq f32 [3]; want f32 [2]");
  Tensor fits = Tensor::zeros({2});
  how.step = 0;
  EXPECT_EQ(test::message_of([&] { adamw_update(param, grad, m, fits, how, stream); }),
            "adamw_update: got step 0; want a step from 1");
}

}  // namespace
}  // namespace rw::kernels
