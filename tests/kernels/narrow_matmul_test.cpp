// Part of Ropewalk, MIT licence.
#include "kernels/narrow_matmul/narrow_matmul.h"

#include <gtest/gtest.h>

#include <tuple>

#include "kernels/multiversion.h"
#include "kernels/narrow_matmul/columns.h"
#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using core::DType;
using test::Numbers;

Tensor bf16(const Tensor& tensor) {
  return Tensor::of(tensor.shape(), core::to_floats(tensor), DType::kBF16);
}

std::vector<float> product(const Tensor& x, const Tensor& w) {
  Stream stream;
  Tensor y = test::nans({x.shape()[0], w.shape()[0]});
  narrow_matmul(x, w, y, stream);
  return core::to_floats(y);
}

Numbers reference(const Tensor& x, const Tensor& w) {
  const Numbers left = test::numbers(x);
  const Numbers right = test::numbers(w);
  const auto k = static_cast<std::size_t>(x.shape()[1]);
  Numbers out;
  for (std::size_t m = 0; m < left.size(); m += k) {
    for (std::size_t n = 0; n < right.size(); n += k) {
      double sum = 0;
      for (std::size_t i = 0; i < k; ++i) sum += left[m + i] * right[n + i];
      out.push_back(sum);
    }
  }
  return out;
}

TEST(NarrowMatmulTest, HandWorked) {
  const Tensor x = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor w = Tensor::of({2, 3}, {1, 0, -1, 0.5, 2, 4});
  EXPECT_EQ(product(x, w), (std::vector<float>{-2, 16.5, -2, 36}));
  EXPECT_EQ(product(x, bf16(w)), (std::vector<float>{-2, 16.5, -2, 36}));
}

TEST(NarrowMatmulTest, EqualsFloat64OnRaggedSizes) {
  for (const std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 16, 31}) {
    for (const std::int64_t n : {1, 7, 33, 100}) {
      for (const std::int64_t k : {1, 7, 31, 33, 1000, 2100}) {
        SCOPED_TRACE(testing::Message() << m << " " << n << " " << k);
        const Tensor x = test::random({m, k}, 1);
        const Tensor w = test::random({n, k}, 2);
        const std::vector<float> got = product(x, w);
        EXPECT_LT(test::relative_error({got.begin(), got.end()}, reference(x, w)), 2e-6);
      }
    }
  }
}

TEST(NarrowMatmulTest, RowsLongerThanABlockAndBunchesOfRows) {
  for (const auto& [m, n, k] : {std::tuple{5, 50, 9000}, {17, 50, 9000}, {31, 200, 400}}) {
    SCOPED_TRACE(testing::Message() << m << " " << n << " " << k);
    const Tensor x = test::random({m, k}, 1);
    const Tensor w = test::random({n, k}, 2);
    const std::vector<float> got = product(x, w);
    EXPECT_LT(test::relative_error({got.begin(), got.end()}, reference(x, w)), 2e-6);
    const Tensor half = bf16(w);
    EXPECT_EQ(product(x, half), product(x, Tensor::of(half.shape(), core::to_floats(half))));
  }
}

/// The sets of loops that this CPU can run.
std::vector<const NarrowLoops*> runnable() {
  std::vector<const NarrowLoops*> out{&kNarrowBaseline};
  if (cpu_level() >= CpuLevel::kAvx2) out.push_back(&kNarrowAvx2);
  if (cpu_level() >= CpuLevel::kAvx512) out.push_back(&kNarrowAvx512);
  return out;
}

/// The product by the loops of one instruction set, in two parts.
std::vector<float> product_by(const NarrowLoops& loops, const Tensor& x, const Tensor& w) {
  Tensor y = test::nans({x.shape()[0], w.shape()[0]});
  const std::int64_t k = x.shape()[1];
  const std::int64_t n = w.shape()[0];
  const NarrowProduct by{x.data<float>(), k, x.shape()[0], w.address(), k, y.data<float>(), n};
  loops.columns(w.dtype(), by, 0, 10);  // no whole tiles
  loops.columns(w.dtype(), by, 10, n);
  return core::to_floats(y);
}

TEST(NarrowMatmulTest, ARowHasTheSameBitsInAnyCompany) {
  const Tensor w = test::random({97, 1111}, 2);
  const Tensor x = test::random({16, 1111}, 1);
  for (const NarrowLoops* loops : runnable()) {
    const std::vector<float> all = product_by(*loops, x, w);
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 9}) {
      for (std::int64_t begin = 0; begin + rows <= 16; begin += rows) {
        const std::vector<float> some = product_by(*loops, x.rows(begin, begin + rows), w);
        EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + begin * 97)) << rows;
      }
    }
  }
}

TEST(NarrowMatmulTest, BitsDoNotDependOnThreads) {
  const Tensor w = test::random({1000, 300}, 2);
  const Tensor x = test::random({5, 300}, 1);
  const int before = threads();
  set_threads(1);
  const std::vector<float> one = product(x, w);
  set_threads(3);
  EXPECT_EQ(product(x, w), one);
  set_threads(before);
}

TEST(NarrowMatmulTest, HalfWeightsGiveTheBitsOfTheirValues) {
  for (const std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 11, 16}) {
    const Tensor x = test::random({m, 1203}, 1);
    const Tensor half = bf16(test::random({50, 1203}, 2));
    const Tensor wide = Tensor::of(half.shape(), core::to_floats(half));
    EXPECT_EQ(product(x, half), product(x, wide)) << m;
  }
}

TEST(NarrowMatmulTest, EveryInstructionSetThatThisCpuHas) {
  for (const std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 9, 16}) {
    const Tensor x = test::random({m, 1037}, 1);
    const Tensor w = test::random({61, 1037}, 2);
    const Tensor half = bf16(w);
    const Tensor wide = Tensor::of(half.shape(), core::to_floats(half));
    for (const NarrowLoops* loops : runnable()) {
      const std::vector<float> got = product_by(*loops, x, w);
      EXPECT_LT(test::relative_error({got.begin(), got.end()}, reference(x, w)), 2e-6) << m;
      EXPECT_EQ(product_by(*loops, x, half), product_by(*loops, x, wide)) << m;
    }
  }
}

TEST(NarrowMatmulTest, OneRowTimesAMatrix) {
  for (const std::int64_t width : {1, 6, 64, 80, 128, 133}) {
    const Tensor p = test::random({1, 37}, 1);
    const Tensor v = test::random({37, width}, 2);
    Numbers want(static_cast<std::size_t>(width), 0.0);
    const Numbers factors = test::numbers(p);
    const Numbers values = test::numbers(v);
    for (std::size_t i = 0; i < values.size(); ++i) {
      want[i % want.size()] += factors[i / want.size()] * values[i];
    }
    const Tensor half = bf16(v);
    const Tensor rounded = Tensor::of(half.shape(), core::to_floats(half));
    for (const NarrowLoops* loops : runnable()) {
      Tensor out = test::nans({width});
      const auto* rows = v.data<float>();
      loops->weighted_rows(p.data<float>(), rows, 37, width, out.data<float>(), rows);
      EXPECT_LT(test::relative_error(out, want), 2e-6) << width;
      const auto* halves = half.data<core::BF16>();
      loops->weighted_rows(p.data<float>(), halves, 37, width, out.data<float>(), halves);
      const std::vector<float> got = core::to_floats(out);
      rows = rounded.data<float>();
      loops->weighted_rows(p.data<float>(), rows, 37, width, out.data<float>(), rows);
      EXPECT_EQ(got, core::to_floats(out)) << width;
    }
  }
}

TEST(NarrowMatmulTest, RefusesWhatDoesNotFit) {
  Stream stream;
  Tensor x = test::random({2, 3}, 1);
  const Tensor w = test::random({5, 4}, 2);
  Tensor y = Tensor::empty({2, 5});
  EXPECT_EQ(test::message_of([&] { narrow_matmul(x, w, y, stream); }),
            "narrow_matmul: got w f32 [5, 4]; want f32 [5, 3]");
  EXPECT_EQ(test::message_of([&] { narrow_matmul(x, Tensor(), y, stream); }),
            "narrow_matmul: got w undefined; want a tensor");
  const Tensor ints = test::ints({1, 2, 3}).view({1, 3});
  Tensor narrow = Tensor::empty({2, 1});
  EXPECT_EQ(test::message_of([&] { narrow_matmul(x, ints, narrow, stream); }),
            "narrow_matmul: got w i32 [1, 3]; want f32 or bf16");
  const Tensor none = Tensor::empty({0, 3});
  Tensor nothing = Tensor::empty({2, 0});
  EXPECT_EQ(test::message_of([&] { narrow_matmul(x, none, nothing, stream); }),
            "narrow_matmul: got x f32 [2, 3], w f32 [0, 3]; want every size at least 1");
  const Tensor square = test::random({3, 3}, 3);
  EXPECT_EQ(test::message_of([&] { narrow_matmul(x, square, x, stream); }),
            "narrow_matmul: got y overlapping x; want memory of its own for y");
}

}  // namespace
}  // namespace rw::kernels
