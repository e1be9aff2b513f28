// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include "kernels/attention/attention.h"
#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

constexpr double kEps = 1e-3;

Numbers reference(const Numbers& in, const Numbers& q, const Numbers& k, const HeadLayout& at) {
  Numbers out = in;
  const auto dim = static_cast<std::size_t>(at.head_dim);
  const auto heads = static_cast<std::size_t>(at.heads + 2 * at.kv_heads);
  for (std::size_t first = 0; first < in.size(); first += dim) {
    const std::size_t head = first / dim % heads;
    if (head >= static_cast<std::size_t>(at.heads + at.kv_heads)) continue;
    const Numbers& weight = head < static_cast<std::size_t>(at.heads) ? q : k;
    double squares = 0;
    for (std::size_t i = 0; i < dim; ++i) squares += in[first + i] * in[first + i];
    const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(dim) + kEps);
    for (std::size_t i = 0; i < dim; ++i) out[first + i] = in[first + i] * rstd * weight[i];
  }
  return out;
}

struct Case {
  explicit Case(const HeadLayout& layout)
      : at(layout),
        in(test::random({layout.batch * layout.tokens, layout.width()}, 1)),
        q(test::random({layout.head_dim}, 2)),
        k(test::random({layout.head_dim}, 3)),
        out(test::nans(in.shape())),
        rstd(test::nans({in.shape()[0], layout.heads + layout.kv_heads})),
        dout(test::random(in.shape(), 4)),
        din(test::nans(in.shape())),
        dq(Tensor::zeros({layout.head_dim})),
        dk(Tensor::zeros({layout.head_dim})) {
    qk_norm_forward(in, q, k, static_cast<float>(kEps), out, rstd, at, stream);
    qk_norm_backward_input(dout, in, q, k, rstd, din, at, stream);
    qk_norm_backward_weight(dout, in, rstd, dq, dk, at, stream);
  }
  double loss(const Numbers& x, const Numbers& q_weight, const Numbers& k_weight) const {
    return test::dot(reference(x, q_weight, k_weight, at), test::numbers(dout));
  }
  HeadLayout at;
  Stream stream;
  Tensor in, q, k, out, rstd, dout, din, dq, dk;
};

TEST(QkNormTest, ForwardEqualsFloat64AndCopiesValues) {
  for (const HeadLayout& at :
       {HeadLayout{1, 1, 1, 1, 2}, HeadLayout{2, 3, 4, 2, 6}, HeadLayout{1, 150, 3, 1, 16}}) {
    const Case run(at);
    const Numbers want =
        reference(test::numbers(run.in), test::numbers(run.q), test::numbers(run.k), at);
    EXPECT_LT(test::relative_error(run.out, want), 1e-6);
  }
}

TEST(QkNormTest, BackwardIsTheFiniteDifference) {
  for (const HeadLayout& at : {HeadLayout{1, 1, 1, 1, 2}, HeadLayout{2, 3, 4, 2, 6}}) {
    const Case run(at);
    const Numbers in = test::numbers(run.in);
    const Numbers q = test::numbers(run.q);
    const Numbers k = test::numbers(run.k);
    const auto by_in = [&](const Numbers& x) { return run.loss(x, q, k); };
    const auto by_q = [&](const Numbers& x) { return run.loss(in, x, k); };
    const auto by_k = [&](const Numbers& x) { return run.loss(in, q, x); };
    EXPECT_LT(test::relative_error(run.din, test::numeric_gradient(by_in, in)), 5e-6);
    EXPECT_LT(test::relative_error(run.dq, test::numeric_gradient(by_q, q)), 5e-6);
    EXPECT_LT(test::relative_error(run.dk, test::numeric_gradient(by_k, k)), 5e-6);
  }
}

TEST(QkNormTest, GradientMayTakeThePlaceOfItsInput) {
  Case run({2, 5, 4, 2, 6});
  qk_norm_backward_input(run.dout, run.in, run.q, run.k, run.rstd, run.dout, run.at, run.stream);
  EXPECT_EQ(core::to_floats(run.dout), core::to_floats(run.din));
}

TEST(QkNormTest, WeightGradientsAreAddedInOneOrderForAnyNumberOfThreads) {
  const int before = threads();
  set_threads(1);
  Case one({3, 200, 4, 2, 8});
  set_threads(2);
  const Case two({3, 200, 4, 2, 8});
  set_threads(before);
  EXPECT_EQ(core::to_floats(one.dq), core::to_floats(two.dq));
  EXPECT_EQ(core::to_floats(one.dk), core::to_floats(two.dk));
  Numbers doubled = test::numbers(one.dq);
  for (double& number : doubled) number *= 2;
  qk_norm_backward_weight(one.dout, one.in, one.rstd, one.dq, one.dk, one.at, one.stream);
  EXPECT_LT(test::relative_error(one.dq, doubled), 1e-6);
}

TEST(QkNormTest, Bf16EqualsF32Rounded) {
  for (const HeadLayout& at :
       {HeadLayout{1, 1, 1, 1, 2}, HeadLayout{2, 3, 4, 2, 6}, HeadLayout{1, 150, 3, 1, 33}}) {
    Case run(at);
    const auto bf16 = [](const Tensor& x) { return test::as(x, core::DType::kBF16); };
    const Tensor in = bf16(run.in), dout = bf16(run.dout);
    Tensor out = bf16(run.out), rstd = test::nans(run.rstd.shape()), din = bf16(run.din);
    Tensor dq = Tensor::zeros({at.head_dim}), dk = Tensor::zeros({at.head_dim});
    qk_norm_forward(in, run.q, run.k, static_cast<float>(kEps), out, rstd, at, run.stream);
    qk_norm_backward_input(dout, in, run.q, run.k, rstd, din, at, run.stream);
    qk_norm_backward_weight(dout, in, rstd, dq, dk, at, run.stream);
    run.in = test::widened(in);
    run.dout = test::widened(dout);
    core::fill_zero(run.dq, run.stream);
    core::fill_zero(run.dk, run.stream);
    qk_norm_forward(run.in, run.q, run.k, static_cast<float>(kEps), run.out, run.rstd, at,
                    run.stream);
    qk_norm_backward_input(run.dout, run.in, run.q, run.k, run.rstd, run.din, at, run.stream);
    qk_norm_backward_weight(run.dout, run.in, run.rstd, run.dq, run.dk, at, run.stream);
    EXPECT_LT(test::rounding_error(out, test::numbers(run.out)), 1.001);
    EXPECT_LT(test::rounding_error(din, test::numbers(run.din)), 1.001);
    EXPECT_LT(test::relative_error(dq, test::numbers(run.dq)), 2e-6);
    EXPECT_LT(test::relative_error(dk, test::numbers(run.dk)), 2e-6);
  }
}

TEST(QkNormTest, RefusesWhatDoesNotFit) {
  Case run({1, 2, 2, 1, 4});
  EXPECT_EQ(test::message_of([&] {
              qk_norm_forward(run.in, run.q, run.k, 1e-6F, run.in, run.rstd, run.at, run.stream);
            }),
            "qk_norm_forward: got out overlapping in; want memory of its own for out");
  const Tensor wrong = Tensor::zeros({5});
  EXPECT_EQ(test::message_of([&] {
              qk_norm_forward(run.in, wrong, run.k, 1e-6F, run.out, run.rstd, run.at, run.stream);
            }),
            "qk_norm_forward: got q_weight f32 [5]; want f32 [4]");
}

}  // namespace
}  // namespace rw::kernels
