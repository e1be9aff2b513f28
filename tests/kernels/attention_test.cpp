// Part of Ropewalk, MIT licence.
#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

/// Plain float64 attention over one fused projection buffer.
class Reference {
 public:
  /// kOfAbsoluteTerms: every result is the sum of its terms' absolute values, which a relative error of the
  /// terms is a share of.
  enum class Sums { kOfTerms, kOfAbsoluteTerms };
  Reference(Numbers qkv, const HeadLayout& layout, Sums sums = Sums::kOfTerms)
      : qkv_(std::move(qkv)), at_(layout), absolute_(sums == Sums::kOfAbsoluteTerms) {}

  Numbers out() {
    Numbers out(size(at_.batch * at_.tokens * at_.heads * at_.head_dim), 0.0);
    each_query([&](std::int64_t b, std::int64_t h, std::int64_t t) {
      const Numbers p = probabilities(b, h, t);
      for (std::int64_t s = 0; s <= t; ++s) {
        for (std::int64_t i = 0; i < at_.head_dim; ++i) {
          out[out_index(b, h, t, i)] += term(p[size(s)] * qkv_[v(b, h, s, i)]);
        }
      }
    });
    return out;
  }

  Numbers lse() {
    Numbers out;
    each_query([&](std::int64_t b, std::int64_t h, std::int64_t t) {
      double sum = 0;
      for (const double score : scores(b, h, t)) sum += std::exp(score);
      out.push_back(std::log(sum));
    });
    return out;
  }

  Numbers backward(const Numbers& dout) {
    Numbers grad(qkv_.size(), 0.0);
    const double scale = 1.0 / std::sqrt(static_cast<double>(at_.head_dim));
    each_query([&](std::int64_t b, std::int64_t h, std::int64_t t) {
      const Numbers p = probabilities(b, h, t);
      Numbers dp(p.size(), 0.0);
      double along = 0;
      for (std::int64_t s = 0; s <= t; ++s) {
        for (std::int64_t i = 0; i < at_.head_dim; ++i) {
          dp[size(s)] += dout[out_index(b, h, t, i)] * qkv_[v(b, h, s, i)];
          grad[v(b, h, s, i)] += term(p[size(s)] * dout[out_index(b, h, t, i)]);
        }
        along += dp[size(s)] * p[size(s)];
      }
      for (std::int64_t s = 0; s <= t; ++s) {
        const double dscore = p[size(s)] * (dp[size(s)] - along) * scale;
        for (std::int64_t i = 0; i < at_.head_dim; ++i) {
          grad[q(b, h, t, i)] += term(dscore * qkv_[k(b, h, s, i)]);
          grad[k(b, h, s, i)] += term(dscore * qkv_[q(b, h, t, i)]);
        }
      }
    });
    return grad;
  }

 private:
  double term(double x) const { return absolute_ ? std::abs(x) : x; }
  static std::size_t size(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::size_t column(std::int64_t b, std::int64_t t, std::int64_t head, std::int64_t i) const {
    return size((b * at_.tokens + t) * at_.width() + head * at_.head_dim + i);
  }
  std::int64_t kv(std::int64_t h) const { return h / (at_.heads / at_.kv_heads); }
  std::size_t q(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t i) const {
    return column(b, t, h, i);
  }
  std::size_t k(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t i) const {
    return column(b, t, at_.heads + kv(h), i);
  }
  std::size_t v(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t i) const {
    return column(b, t, at_.heads + at_.kv_heads + kv(h), i);
  }
  std::size_t out_index(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t i) const {
    return size(((b * at_.tokens + t) * at_.heads + h) * at_.head_dim + i);
  }
  Numbers scores(std::int64_t b, std::int64_t h, std::int64_t t) const {
    Numbers out(size(t + 1), 0.0);
    for (std::int64_t s = 0; s <= t; ++s) {
      for (std::int64_t i = 0; i < at_.head_dim; ++i) {
        out[size(s)] += qkv_[q(b, h, t, i)] * qkv_[k(b, h, s, i)];
      }
      out[size(s)] /= std::sqrt(static_cast<double>(at_.head_dim));
    }
    return out;
  }
  Numbers probabilities(std::int64_t b, std::int64_t h, std::int64_t t) const {
    Numbers out = scores(b, h, t);
    double sum = 0;
    for (double& number : out) sum += number = std::exp(number);
    for (double& number : out) number /= sum;
    return out;
  }
  template <class Call>
  void each_query(const Call& call) const {
    for (std::int64_t b = 0; b < at_.batch; ++b) {
      for (std::int64_t h = 0; h < at_.heads; ++h) {
        for (std::int64_t t = 0; t < at_.tokens; ++t) call(b, h, t);
      }
    }
  }

  Numbers qkv_;
  HeadLayout at_;
  bool absolute_;
};

/// Largest error of bf16 numbers as a share of what two roundings may do: one of the number, and one of every
/// term of its sum. 5e-6 of the largest number are forgiven for sums in f32.
double of_two_roundings(const Tensor& got, const Numbers& want, const Numbers& terms) {
  constexpr double kRounding = 1.0 / 256;
  const Numbers have = test::numbers(got);
  if (got.dtype() != core::DType::kBF16 || have.size() != want.size()) return INFINITY;
  double largest = 0;
  for (const double number : want) largest = std::max(largest, std::abs(number));
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double distance = std::abs(have[i] - want[i]);
    if (!(distance < INFINITY)) return INFINITY;
    const double allowed = kRounding * (std::abs(want[i]) + terms[i]) + 1e-37;
    worst = std::max(worst, (distance - 5e-6 * largest) / allowed);
  }
  return worst;
}

struct Case {
  explicit Case(const HeadLayout& layout, std::uint64_t seed = 1)
      : at(layout),
        rows(layout.batch * layout.tokens),
        qkv(test::random({rows, layout.width()}, seed)),
        out(test::nans({rows, layout.heads * layout.head_dim})),
        lse(test::nans({layout.batch, layout.heads, layout.tokens})),
        dout(test::random(out.shape(), seed + 1)),
        dqkv(test::nans(qkv.shape())) {
    attention_forward(qkv, out, lse, at, stream);
    attention_backward(qkv, out, lse, dout, dqkv, at, stream);
  }
  HeadLayout at;
  std::int64_t rows;
  Stream stream;
  Tensor qkv, out, lse, dout, dqkv;
};

class AttentionShapes : public ::testing::TestWithParam<HeadLayout> {};

TEST_P(AttentionShapes, ForwardEqualsFloat64) {
  const Case run(GetParam());
  Reference reference(test::numbers(run.qkv), run.at);
  EXPECT_LT(test::relative_error(run.out, reference.out()), 2e-6);
  EXPECT_LT(test::relative_error(run.lse, reference.lse()), 2e-6);
}

TEST_P(AttentionShapes, BackwardEqualsFloat64) {
  const Case run(GetParam());
  Reference reference(test::numbers(run.qkv), run.at);
  EXPECT_LT(test::relative_error(run.dqkv, reference.backward(test::numbers(run.dout))), 5e-6);
}

INSTANTIATE_TEST_SUITE_P(Odd, AttentionShapes,
                         ::testing::Values(HeadLayout{1, 1, 1, 1, 2}, HeadLayout{2, 5, 4, 2, 6},
                                           HeadLayout{3, 33, 3, 1, 10},
                                           HeadLayout{1, 129, 2, 2, 16},
                                           HeadLayout{1, 130, 6, 3, 4},
                                           HeadLayout{1, 641, 1, 1, 8}),
                         [](const auto& shape) {
                           const HeadLayout& at = shape.param;
                           return "b" + std::to_string(at.batch) + "t" + std::to_string(at.tokens) +
                                  "h" + std::to_string(at.heads) + "kv" +
                                  std::to_string(at.kv_heads) + "d" + std::to_string(at.head_dim);
                         });

/// The same numbers in bf16, as far as roundings allow: one of each result and, where products take them as
/// operands in bf16, one of each probability and each gradient of a score.
TEST_P(AttentionShapes, Bf16StaysWithinItsRoundings) {
  const HeadLayout at = GetParam();
  Stream stream;
  const Tensor qkv = test::random_bf16({at.batch * at.tokens, at.width()}, 1);
  const Tensor dout = test::random_bf16({at.batch * at.tokens, at.heads * at.head_dim}, 2);
  Tensor out = test::nans(dout.shape()), lse = test::nans({at.batch, at.heads, at.tokens});
  Tensor dqkv = test::nans(qkv.shape()), lse2 = test::nans(lse.shape());
  Tensor out2 = test::as(out, core::DType::kBF16), dqkv2 = test::as(dqkv, core::DType::kBF16);
  Reference terms(test::numbers(qkv), at, Reference::Sums::kOfAbsoluteTerms);
  attention_forward(test::widened(qkv), out, lse, at, stream);
  attention_forward(qkv, out2, lse2, at, stream);
  EXPECT_LT(of_two_roundings(out2, test::numbers(out), terms.out()), 1.01);
  EXPECT_LT(test::relative_error(lse2, test::numbers(lse)), 2e-6);
  attention_backward(test::widened(qkv), test::widened(out2), lse, test::widened(dout), dqkv, at,
                     stream);
  attention_backward(qkv, out2, lse2, dout, dqkv2, at, stream);
  const Numbers most = terms.backward(test::numbers(dout));
  EXPECT_LT(of_two_roundings(dqkv2, test::numbers(dqkv), most), 1.01);
}

TEST(AttentionTest, BackwardIsTheFiniteDifference) {
  const Case run({2, 4, 4, 2, 2});
  const Numbers dout = test::numbers(run.dout);
  const Numbers want = test::numeric_gradient(
      [&](const Numbers& qkv) { return test::dot(Reference(qkv, run.at).out(), dout); },
      test::numbers(run.qkv));
  EXPECT_LT(test::relative_error(run.dqkv, want), 5e-6);
}

TEST(AttentionTest, OneTokenGivesItsOwnValue) {
  Stream stream;
  const HeadLayout at{1, 1, 2, 1, 2};
  const Tensor qkv = Tensor::of({1, 8}, {1, 2, 3, 4, 5, 6, 7, 8});
  Tensor out = Tensor::empty({1, 4});
  Tensor lse = Tensor::empty({1, 2, 1});
  attention_forward(qkv, out, lse, at, stream);
  EXPECT_EQ(core::to_floats(out), (std::vector<float>{7, 8, 7, 8}));
  EXPECT_NEAR(static_cast<double>(core::to_floats(lse)[0]), 17 / std::sqrt(2.0), 1e-5);
}

TEST(AttentionTest, LaterTokensDoNotReachEarlierOnes) {
  Stream stream;
  const HeadLayout at{1, 9, 2, 2, 4};
  Case run(at);
  Tensor last = run.qkv.rows(8, 9);
  core::fill_zero(last, stream);
  Tensor out = Tensor::like(run.out);
  Tensor lse = Tensor::like(run.lse);
  attention_forward(run.qkv, out, lse, at, stream);
  EXPECT_EQ(core::to_floats(out.rows(0, 8)), core::to_floats(run.out.rows(0, 8)));
}

TEST(AttentionTest, LargeScoresStayFinite) {
  Stream stream;
  const HeadLayout at{1, 3, 1, 1, 2};
  const Tensor qkv = Tensor::of({3, 6}, {100, 0, 100, 0, 1, 2,   //
                                         100, 0, -100, 0, 3, 4,  //
                                         -100, 0, 0, 0, 5, 6});
  Tensor out = Tensor::empty({3, 2});
  Tensor lse = Tensor::empty({1, 1, 3});
  attention_forward(qkv, out, lse, at, stream);
  EXPECT_EQ(core::to_floats(out), (std::vector<float>{1, 2, 1, 2, 3, 4}));
}

TEST(AttentionTest, SameBitsForAnyNumberOfThreads) {
  const HeadLayout at{2, 200, 4, 2, 8};
  const int before = threads();
  set_threads(1);
  const Case one(at);
  set_threads(2);
  const Case two(at);
  const Case again(at);
  set_threads(before);
  EXPECT_EQ(core::to_floats(one.out), core::to_floats(two.out));
  EXPECT_EQ(core::to_floats(one.dqkv), core::to_floats(two.dqkv));
  EXPECT_EQ(core::to_floats(again.dqkv), core::to_floats(two.dqkv));
}

TEST(AttentionTest, RefusesWhatDoesNotFit) {
  Case run({1, 3, 4, 2, 2});
  EXPECT_EQ(test::message_of([&] {
              attention_forward(run.qkv, run.out, run.lse, {1, 3, 4, 3, 2}, run.stream);
            }),
            "attention_forward: got batch 1, tokens 3, heads 4, kv_heads 3, head_dim 2; want "
            "positive sizes and heads a multiple of kv_heads");
  Tensor half = test::as(run.out, core::DType::kBF16);
  EXPECT_EQ(
      test::message_of([&] { attention_forward(run.qkv, half, run.lse, run.at, run.stream); }),
      "attention_forward: got out bf16 [3, 8]; want f32 [3, 8]");
  EXPECT_EQ(
      test::message_of([&] { attention_forward(run.out, run.out, run.lse, run.at, run.stream); }),
      "attention_forward: got qkv f32 [3, 8]; want f32 [3, 16]");
  EXPECT_EQ(test::message_of([&] {
              attention_backward(run.qkv, run.out, run.lse, run.dout, run.qkv, run.at, run.stream);
            }),
            "attention_backward: got dqkv overlapping qkv; want memory of its own for dqkv");
}

}  // namespace
}  // namespace rw::kernels
