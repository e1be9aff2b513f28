// Part of Ropewalk, MIT licence.
#include "kernels/attention/heads.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "core/buffer.h"
#include "kernels/attention/panels.h"
#include "kernels/matmul/gemm.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

constexpr std::int64_t kTokens = 141, kHeadDim = 40;

/// Forward and backward of one head, rows of its own, through one table.
template <class T>
struct HeadRun {
  Tensor q, k, v, dout, out, lse, dq, dk, dv;

  /// Random inputs, results NaN.
  explicit HeadRun(std::uint64_t seed)
      : q(input(seed)),
        k(input(seed + 1)),
        v(input(seed + 2)),
        dout(input(seed + 3)),
        out(result()),
        lse(test::nans({kTokens})),
        dq(result()),
        dk(result()),
        dv(result()) {}

  void forward(const HeadKernels<T>& by) {
    core::Buffer room(bytes(by.forward_elems(kTokens, kHeadDim)), core::Device{});
    auto* scratch = static_cast<float*>(room.address());
    by.pack_forward_keys(rows(k), rows(v), kTokens, kHeadDim, scratch);
    const ForwardHead<T> head{rows(q), rows(k), rows(v), target(out), lse.data<float>(), kHeadDim};
    for (std::int64_t begin = 0; begin < kTokens; begin += by.forward_queries) {
      by.forward(head, begin, kTokens, scratch);
    }
  }
  void backward(const HeadKernels<T>& by) {
    core::Buffer room(bytes(by.backward_elems(kTokens, kHeadDim)), core::Device{});
    auto* scratch = static_cast<float*>(room.address());
    by.pack_backward_keys(rows(k), rows(v), kTokens, kHeadDim, scratch);
    BackwardHead<T> head;
    head.q = rows(q), head.k = rows(k), head.v = rows(v), head.out = rows(out);
    head.dout = rows(dout), head.dq = target(dq);
    head.lse = lse.data<float>();
    head.head_dim = kHeadDim;
    for (std::int64_t begin = 0; begin < kTokens; begin += by.backward_queries) {
      by.backward(head, begin, kTokens, scratch);
    }
    by.write_key_gradients(target(dk), target(dv), kTokens, kHeadDim, scratch);
  }

 private:
  static constexpr core::DType kDType =
      std::is_same_v<T, float> ? core::DType::kF32 : core::DType::kBF16;
  static std::size_t bytes(std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  }
  static Tensor input(std::uint64_t seed) {  // bf16 can hold all of it
    return test::as(test::random_bf16({kTokens, kHeadDim}, seed), kDType);
  }
  static Tensor result() { return test::as(test::nans({kTokens, kHeadDim}), kDType); }
  static HeadRows<T> rows(const Tensor& tensor) { return {tensor.data<T>(), kHeadDim}; }
  static MutableHeadRows<T> target(Tensor& tensor) { return {tensor.data<T>(), kHeadDim}; }
};

/// Panels round nothing but what comes out: probabilities and gradients of scores stay f32. (Bounds for what
/// this CPU runs are in attention_test.cpp.)
TEST(PanelHeadsTest, Bf16IsF32RoundedOnce) {
  if (!cpu_has_fma()) GTEST_SKIP() << "this CPU has no AVX2";
  HeadRun<core::BF16> half(1);
  half.forward(PanelHeads<core::BF16>::kTable);
  HeadRun<float> full(1);
  full.forward(PanelHeads<float>::kTable);
  EXPECT_LT(test::rounding_error(half.out, test::numbers(full.out)), 1.001);
  EXPECT_EQ(core::to_floats(half.lse), core::to_floats(full.lse));
  full.out = test::widened(half.out);
  half.backward(PanelHeads<core::BF16>::kTable);
  full.backward(PanelHeads<float>::kTable);
  EXPECT_LT(test::rounding_error(half.dq, test::numbers(full.dq), 5e-6), 1.001);
  EXPECT_LT(test::rounding_error(half.dk, test::numbers(full.dk), 5e-6), 1.001);
  EXPECT_LT(test::rounding_error(half.dv, test::numbers(full.dv), 5e-6), 1.001);
}

class Bf16Heads : public ::testing::TestWithParam<GemmEngine> {};

/// Tiles and dot products round probabilities and gradients of scores to bf16, and nothing else that panels do not:
/// a unit in the last place of a result (2^-7 of it) or so.
TEST_P(Bf16Heads, AreNearPanels) {
  if (!gemm_runs_here(GetParam())) GTEST_SKIP() << "this CPU has no such instructions";
  const auto& by = GetParam() == GemmEngine::kAmx ? kAmxHeads : kDotHeads;
  HeadRun<core::BF16> run(1), panels(1);
  run.forward(by);
  panels.forward(PanelHeads<core::BF16>::kTable);
  EXPECT_LT(test::relative_error(run.out, test::numbers(panels.out)), 1e-2);
  EXPECT_LT(test::relative_error(run.lse, test::numbers(panels.lse)), 1e-6);
  run.out = panels.out;
  run.lse = panels.lse;
  run.backward(by);
  panels.backward(PanelHeads<core::BF16>::kTable);
  EXPECT_LT(test::relative_error(run.dq, test::numbers(panels.dq)), 1e-2);
  EXPECT_LT(test::relative_error(run.dk, test::numbers(panels.dk)), 1e-2);
  EXPECT_LT(test::relative_error(run.dv, test::numbers(panels.dv)), 1e-2);
}
INSTANTIATE_TEST_SUITE_P(, Bf16Heads, ::testing::Values(GemmEngine::kDot, GemmEngine::kAmx),
                         [](const auto& engine) {
                           return std::string(engine.param == GemmEngine::kAmx ? "Tiles" : "Dots");
                         });

}  // namespace
}  // namespace rw::kernels
