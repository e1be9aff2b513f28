// Part of Ropewalk, MIT licence.
#include "kernels/matmul/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using core::BF16;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Whole numbers small enough that every sum is exact in f32, whatever its order.
template <class T>
std::vector<T> whole_numbers(std::int64_t count, int seed) {
  std::vector<T> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(T(static_cast<float>((i * 7 + seed * 13 + i / 11) % 9 - 4)));
  }
  return out;
}

template <class T>
float value(const GemmMatrix<T>& x, std::int64_t row, std::int64_t column) {
  const bool turned = x.transpose == Transpose::kYes;
  return static_cast<float>(x.data[turned ? column * x.stride + row : row * x.stride + column]);
}

template <class T, class C>
void expect_product(GemmEngine engine, const GemmSizes& by, Transpose ta, Transpose tb) {
  const std::int64_t a_stride = (ta == Transpose::kYes ? by.m : by.k) + 3;
  const std::int64_t b_stride = (tb == Transpose::kYes ? by.k : by.n) + 1;
  const auto a_data = whole_numbers<T>((ta == Transpose::kYes ? by.k : by.m) * a_stride, 1);
  const auto b_data = whole_numbers<T>((tb == Transpose::kYes ? by.n : by.k) * b_stride, 2);
  const GemmMatrix<T> a{a_data.data(), a_stride, ta};
  const GemmMatrix<T> b{b_data.data(), b_stride, tb};
  const std::int64_t stride = by.n + 5;
  const auto before = whole_numbers<C>(by.m * stride, 3);
  auto c = before;
  gemm(engine, by, a, b, c.data(), stride);
  for (std::int64_t i = 0; i < by.m; ++i) {
    for (std::int64_t j = 0; j < stride; ++j) {
      const float old = static_cast<float>(before[at(i * stride + j)]);
      double want = j >= by.n || by.c == Accumulate::kYes ? double{old} : 0.0;
      for (std::int64_t k = 0; j < by.n && k < by.k; ++k) {
        want += double{value(a, i, k)} * double{value(b, k, j)};
      }
      const C rounded(static_cast<float>(want));
      ASSERT_EQ(static_cast<float>(c[at(i * stride + j)]), static_cast<float>(rounded))
          << i << ", " << j;
    }
  }
}

const auto kEngines =
    ::testing::Values(GemmEngine::kAvx2, GemmEngine::kAvx512, GemmEngine::kDot, GemmEngine::kAmx);

const char* name_of(GemmEngine engine) {
  return engine == GemmEngine::kAvx2     ? "Avx2"
         : engine == GemmEngine::kAvx512 ? "Avx512"
         : engine == GemmEngine::kDot    ? "Dot"
                                         : "Amx";
}

/// An engine needs instructions that not every machine has.
#define NEEDS(engine)                                      \
  if (!gemm_runs_here(engine)) {                           \
    GTEST_SKIP() << "this CPU has no " << name_of(engine); \
  }

class Gemm : public ::testing::TestWithParam<GemmEngine> {};

class GemmShapes : public ::testing::TestWithParam<std::tuple<GemmEngine, GemmSizes>> {};

TEST_P(GemmShapes, ExactOnWholeNumbersInEveryTransposition) {
  const GemmEngine engine = std::get<0>(GetParam());
  NEEDS(engine);
  for (int bits = 0; bits < 8; ++bits) {
    SCOPED_TRACE(bits);
    const auto ta = (bits & 1) != 0 ? Transpose::kYes : Transpose::kNo;
    const auto tb = (bits & 2) != 0 ? Transpose::kYes : Transpose::kNo;
    GemmSizes by = std::get<1>(GetParam());
    by.c = (bits & 4) != 0 ? Accumulate::kYes : Accumulate::kNo;
    expect_product<float, float>(engine, by, ta, tb);
    expect_product<BF16, float>(engine, by, ta, tb);
    if (by.c == Accumulate::kNo && by.k <= gemm_longest_one_pass(engine)) {
      expect_product<BF16, BF16>(engine, by, ta, tb);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Odd, GemmShapes,
    ::testing::Combine(kEngines, ::testing::Values(GemmSizes{1, 1, 1}, GemmSizes{5, 15, 3},
                                                   GemmSizes{6, 16, 4}, GemmSizes{7, 17, 9},
                                                   GemmSizes{13, 48, 31}, GemmSizes{200, 33, 37},
                                                   GemmSizes{64, 96, 64}, GemmSizes{97, 50, 1024},
                                                   GemmSizes{13, 19, 1200}, GemmSizes{8, 4111, 5})),
    [](const auto& shape) {
      const GemmSizes& by = std::get<1>(shape.param);
      return std::string(name_of(std::get<0>(shape.param))) + "_" + std::to_string(by.m) + "x" +
             std::to_string(by.n) + "x" + std::to_string(by.k);
    });

TEST_P(Gemm, SameBitsForAnyNumberOfThreads) {
  NEEDS(GetParam());
  const Tensor a = test::random_bf16({310, 1300}, 1);
  const Tensor b = test::random_bf16({1300, 130}, 2);
  const GemmMatrix<BF16> left{a.data<BF16>(), 1300, Transpose::kNo};
  const GemmMatrix<BF16> right{b.data<BF16>(), 130, Transpose::kNo};
  Tensor want;
  const int before = threads();
  for (const int count : {1, 2, 3, 5}) {
    set_threads(count);
    Tensor c = test::nans({310, 130});
    gemm(GetParam(), {310, 130, 1300}, left, right, c.data<float>(), 130);
    if (count == 1) want = c;
    EXPECT_EQ(core::to_floats(c), core::to_floats(want)) << count;
  }
  set_threads(before);
}

INSTANTIATE_TEST_SUITE_P(, Gemm, kEngines,
                         [](const auto& engine) { return std::string(name_of(engine.param)); });

/// c [m, n] is a [m, k] · b [k, n] to within `share` of the sum of each element's |terms|.
template <class T>
void expect_near_float64(const GemmMatrix<T>& a, const GemmMatrix<T>& b, const Tensor& c,
                         double share) {
  const std::int64_t m = c.shape()[0], n = c.shape()[1], k = a.stride;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double want = 0, size = 0;
      for (std::int64_t x = 0; x < k; ++x) {
        const double term = double{value(a, i, x)} * double{value(b, x, j)};
        want += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(double{c.data<float>()[i * n + j]}, want, share * size) << i << ", " << j;
    }
  }
}

/// Against sums in f64: k of more than one slice, pass and tile, ragged everywhere.
TEST_P(Gemm, EqualsFloat64) {
  NEEDS(GetParam());
  const std::int64_t m = 131, n = 75, k = 1300;
  const Tensor a = test::random_bf16({m, k}, 1);
  const Tensor b = test::random_bf16({k, n}, 2);
  const GemmMatrix<BF16> left{a.data<BF16>(), k, Transpose::kNo};
  const GemmMatrix<BF16> right{b.data<BF16>(), n, Transpose::kNo};
  Tensor c = test::nans({m, n});
  gemm(GetParam(), {m, n, k}, left, right, c.data<float>(), n);
  expect_near_float64(left, right, c, 1e-6);
}

/// Numbers of many sizes, 24 bits each: an engine that takes f32 apart must lose no more than f32 rounds away.
TEST_P(Gemm, F32EqualsFloat64) {
  NEEDS(GetParam());
  const std::int64_t m = 67, n = 43, k = 1300;
  const Tensor a = test::random({m, k}, 1);
  const Tensor b = test::random({k, n}, 2);
  for (std::int64_t i = 0; i < m * k; ++i) {
    a.data<float>()[i] *= std::exp2(static_cast<float>(i % 61 - 30));
  }
  for (std::int64_t i = 0; i < k * n; ++i) {
    b.data<float>()[i] *= std::exp2(static_cast<float>(i % 47 - 23));
  }
  const GemmMatrix<float> left{a.data<float>(), k, Transpose::kNo};
  const GemmMatrix<float> right{b.data<float>(), n, Transpose::kNo};
  Tensor c = test::nans({m, n});
  gemm(GetParam(), {m, n, k}, left, right, c.data<float>(), n);
  expect_near_float64(left, right, c, std::exp2(-21.0));
}

TEST_P(Gemm, WhatIsNotFiniteStaysSo) {
  NEEDS(GetParam());
  const std::int64_t n = 40;
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> a(at(3 * n), 1.0F);
    a[at(n + 7)] = bad;  // row 1
    const std::vector<float> b(at(n * n), 0.5F);
    std::vector<float> c(at(3 * n));
    gemm<float>(GetParam(), {3, n, n}, {a.data(), n, Transpose::kNo}, {b.data(), n, Transpose::kNo},
                c.data(), n);
    for (std::int64_t j = 0; j < n; ++j) {
      EXPECT_EQ(c[at(j)], 20.0F);
      EXPECT_FALSE(std::isfinite(c[at(n + j)])) << bad << ", " << j;
      EXPECT_EQ(c[at(2 * n + j)], 20.0F);
    }
  }
}

TEST_P(Gemm, NarrowResultsRoundToNearestEvenAndKeepNan) {
  NEEDS(GetParam());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> numbers{1.00390625F, 1.01171875F, nan,
                             -std::numeric_limits<float>::infinity()};
  numbers.resize(16, 3.0F);
  std::vector<BF16> high, low,
      one(1, BF16(1.0F));  // high + low = the numbers, products of two terms
  for (const float x : numbers) {
    const BF16 rounded(x);
    high.push_back(rounded);
    low.push_back(std::isfinite(x) ? BF16(x - static_cast<float>(rounded)) : BF16(0.0F));
  }
  std::vector<BF16> b = high;
  b.insert(b.end(), low.begin(), low.end());  // [2, 16]
  const std::vector<BF16> a(2, BF16(1.0F));   // [1, 2]
  std::vector<BF16> c(16);
  gemm<BF16, BF16>(GetParam(), {1, 16, 2}, {a.data(), 2, Transpose::kNo},
                   {b.data(), 16, Transpose::kNo}, c.data(), 16);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(c[i].bits, BF16(numbers[i]).bits) << i;
  }
}

}  // namespace
}  // namespace rw::kernels
