// Part of Ropewalk, MIT licence.
#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

struct Sizes {
  std::int64_t m, n, k;
};

Numbers reference(const Numbers& a, const Numbers& b, const Sizes& by, const MatmulOptions& how,
                  Numbers c) {
  const auto index = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t i = 0; i < by.m; ++i) {
    for (std::int64_t j = 0; j < by.n; ++j) {
      double sum = how.c == Accumulate::kYes ? c[index(i * by.n + j)] : 0.0;
      for (std::int64_t p = 0; p < by.k; ++p) {
        const double left = a[index(how.a == Transpose::kYes ? p * by.m + i : i * by.k + p)];
        const double right = b[index(how.b == Transpose::kYes ? j * by.k + p : p * by.n + j)];
        sum += left * right;
      }
      c[index(i * by.n + j)] = sum;
    }
  }
  return c;
}

class MatmulShapes : public ::testing::TestWithParam<Sizes> {};

TEST_P(MatmulShapes, EqualsFloat64InEveryTransposition) {
  const Sizes by = GetParam();
  Stream stream;
  for (int bits = 0; bits < 8; ++bits) {
    SCOPED_TRACE(bits);
    MatmulOptions how;
    if ((bits & 1) != 0) how.a = Transpose::kYes;
    if ((bits & 2) != 0) how.b = Transpose::kYes;
    if ((bits & 4) != 0) how.c = Accumulate::kYes;
    const bool at = how.a == Transpose::kYes;
    const bool bt = how.b == Transpose::kYes;
    const Tensor a = test::random({at ? by.k : by.m, at ? by.m : by.k}, 1);
    const Tensor b = test::random({bt ? by.n : by.k, bt ? by.k : by.n}, 2);
    Tensor c = how.c == Accumulate::kYes ? test::random({by.m, by.n}, 3) : test::nans({by.m, by.n});
    const Numbers want = reference(test::numbers(a), test::numbers(b), by, how, test::numbers(c));
    matmul(a, b, c, how, stream);
    EXPECT_LT(test::relative_error(c, want), 2e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Odd, MatmulShapes,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{1, 7, 5}, Sizes{3, 1, 33},
                                           Sizes{17, 31, 65}, Sizes{129, 33, 7},
                                           Sizes{64, 257, 96}),
                         [](const auto& shape) {
                           return std::to_string(shape.param.m) + "x" +
                                  std::to_string(shape.param.n) + "x" +
                                  std::to_string(shape.param.k);
                         });

TEST(MatmulTest, HandWorked) {
  Stream stream;
  const Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4});
  const Tensor b = Tensor::of({2, 2}, {5, 6, 7, 8});
  Tensor c = Tensor::empty({2, 2});
  matmul(a, b, c, {}, stream);
  EXPECT_EQ(core::to_floats(c), (std::vector<float>{19, 22, 43, 50}));
}

TEST(MatmulTest, ReadsTheRowsOfALargerMatrix) {
  Stream stream;
  const Tensor all = Tensor::of({3, 2}, {9, 9, 1, 2, 3, 4});
  const Tensor identity = Tensor::of({2, 2}, {1, 0, 0, 1});
  Tensor c = Tensor::empty({2, 2});
  matmul(all.rows(1, 3), identity, c, {}, stream);
  EXPECT_EQ(core::to_floats(c), (std::vector<float>{1, 2, 3, 4}));
}

TEST(MatmulTest, SameBitsEveryTimeWithTheSameThreads) {
  Stream stream;
  const Tensor a = test::random({70, 300}, 1);
  const Tensor b = test::random({300, 90}, 2);
  const int before = threads();
  for (const int count : {1, 2}) {
    set_threads(count);
    Tensor first = Tensor::empty({70, 90});
    Tensor second = Tensor::empty({70, 90});
    matmul(a, b, first, {}, stream);
    matmul(a, b, second, {}, stream);
    EXPECT_EQ(core::to_floats(first), core::to_floats(second));
  }
  set_threads(before);
}

TEST(MatmulTest, ManyDifferentSizesInARow) {
  Stream stream;
  for (std::int64_t m = 1; m <= 300; ++m) {  // more than any cache of compiled products holds
    const Tensor a = Tensor::of({m, 1}, std::vector<float>(static_cast<std::size_t>(m), 2.0F));
    const Tensor b = Tensor::of({1, 1}, {3});
    Tensor c = test::nans({m, 1});
    matmul(a, b, c, {}, stream);
    ASSERT_EQ(core::to_floats(c), std::vector<float>(static_cast<std::size_t>(m), 6.0F));
  }
}

TEST(MatmulTest, RefusesWhatDoesNotFit) {
  Stream stream;
  const Tensor a = test::random({2, 3}, 1);
  const Tensor b = test::random({4, 5}, 2);
  Tensor c = Tensor::empty({2, 5});
  EXPECT_EQ(test::message_of([&] { matmul(a, b, c, {}, stream); }),
            "matmul: got b f32 [4, 5]; want f32 [3, 5]");
  Tensor flat = Tensor::empty({10});
  EXPECT_EQ(test::message_of([&] { matmul(a, b, flat, {}, stream); }),
            "matmul: got c f32 [10]; want 2 dimensions");
  EXPECT_EQ(test::message_of([&] { matmul(Tensor(), b, c, {}, stream); }),
            "matmul: got a undefined; want a tensor");
  const Tensor nothing = Tensor::empty({0, 3});
  Tensor none = Tensor::empty({0, 5});
  EXPECT_EQ(test::message_of([&] { matmul(nothing, b, none, {}, stream); }),
            "matmul: got a f32 [0, 3], b f32 [4, 5], c f32 [0, 5]; want every size at least 1");
}

TEST(MatmulTest, RefusesAnOverlappingResult) {
  Stream stream;
  Tensor a = test::random({3, 3}, 1);
  Tensor b = test::random({3, 3}, 2);
  EXPECT_EQ(test::message_of([&] { matmul(a, b, a, {}, stream); }),
            "matmul: got c overlapping a; want memory of its own for c");
  EXPECT_EQ(test::message_of([&] { matmul(a, b, b, {}, stream); }),
            "matmul: got c overlapping b; want memory of its own for c");
}

}  // namespace
}  // namespace rw::kernels
