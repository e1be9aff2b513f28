// Part of Ropewalk, MIT licence.
#include "kernels/reduce/reduce.h"

#include <gtest/gtest.h>

#include <array>

#include "kernels/reduce/math.h"
#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

TEST(ReduceTest, HandWorked) {
  Stream stream;
  const Tensor x = Tensor::of({2, 2}, {1, -2, 3, 4});
  EXPECT_EQ(sum(x, stream), 6.0);
  EXPECT_EQ(sum_of_squares(x, stream), 30.0);
  EXPECT_EQ(sum(Tensor::empty({0}), stream), 0.0);
}

TEST(ReduceTest, EqualsFloat64AroundTheBlockSize) {
  Stream stream;
  for (const std::int64_t count : {1, 15, 16, 17, 4095, 4096, 4097, 12289, 50021}) {
    const Tensor x = test::random({count}, 1);
    double plain = 0;
    double squares = 0;
    for (const double number : test::numbers(x)) {
      plain += number;
      squares += number * number;
    }
    EXPECT_NEAR(sum(x, stream), plain, 1e-10 * squares) << count;
    EXPECT_NEAR(sum_of_squares(x, stream), squares, 1e-12 * squares) << count;
  }
}

TEST(ReduceTest, SmallNumbersAreNotLostBesideLargeOnes) {
  Stream stream;
  std::vector<float> values(10000, 1.0F);
  values[0] = 1e9F;
  EXPECT_EQ(sum(Tensor::of({10000}, values), stream), 1e9 + 9999);
}

TEST(ReduceTest, SameBitsForAnyNumberOfThreads) {
  Stream stream;
  const Tensor x = test::random({123457}, 3);
  const int before = threads();
  std::vector<double> results;
  for (const int count : {1, 2, 3, 4}) {
    set_threads(count);
    results.push_back(sum_of_squares(x, stream));
    results.push_back(sum_of_squares(x, stream));
  }
  set_threads(before);
  EXPECT_EQ(results, std::vector<double>(8, results[0]));
}

TEST(ReduceTest, AddsPairwise) {
  std::array<double, 5> numbers{1, 2, 4, 8, 16};
  EXPECT_EQ(add_pairwise(numbers.data(), 5), 31.0);
  EXPECT_EQ(add_pairwise(numbers.data(), 0), 0.0);
}

TEST(ReduceTest, NanReachesTheSum) {
  Stream stream;
  EXPECT_TRUE(std::isnan(sum_of_squares(Tensor::of({2}, {1, std::nanf("")}), stream)));
}

TEST(ReduceTest, RefusesOtherTypes) {
  Stream stream;
  EXPECT_EQ(test::message_of([&] { sum(test::ints({1}), stream); }),
            "sum: got x i32 [1]; want f32 [1]");
}

}  // namespace
}  // namespace rw::kernels
