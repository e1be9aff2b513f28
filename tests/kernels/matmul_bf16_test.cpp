// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include "kernels/matmul/converted.h"
#include "kernels/matmul/matmul.h"

#include "kernels/threads.h"
#include "support/numbers.h"
#include "support/sanitized.h"

namespace rw::kernels {
namespace {

using core::DType;
using test::Numbers;

struct Sizes {
  std::int64_t m, n, k;
};

/// Exact to f32 in f64: the operands' numbers are the same in both dtypes.
Tensor in_f32(const Tensor& a, const Tensor& b, const Tensor& c, const MatmulOptions& how) {
  Stream stream;
  Tensor out = test::copy_of(c);
  matmul(test::widened(a), test::widened(b), out, how, stream);
  return out;
}

MatmulOptions options_of(int bits) {
  MatmulOptions how;
  if ((bits & 1) != 0) how.a = Transpose::kYes;
  if ((bits & 2) != 0) how.b = Transpose::kYes;
  if ((bits & 4) != 0) how.c = Accumulate::kYes;
  return how;
}

/// What matmul does on this CPU, and the way that needs neither bf16 instructions nor our own GEMM.
using Way = void (*)(const Tensor& a, const Tensor& b, Tensor& c, MatmulOptions how);
void by_matmul(const Tensor& a, const Tensor& b, Tensor& c, MatmulOptions how) {
  Stream stream;
  matmul(a, b, c, how, stream);
}
void by_conversion(const Tensor& a, const Tensor& b, Tensor& c, MatmulOptions how) {
  const std::int64_t k = a.shape()[how.a == Transpose::kYes ? 0 : 1];
  matmul_converted(a, b, c, {c.shape()[0], c.shape()[1], k}, how);
}
class MatmulBf16 : public ::testing::TestWithParam<Way> {};

void expect_like_f32(const Sizes& by, double bound, Way multiply, int every = 1) {
  for (int bits = 0; bits < 8; bits += every) {
    SCOPED_TRACE(bits);
    const MatmulOptions how = options_of(bits);
    const bool at = how.a == Transpose::kYes;
    const bool bt = how.b == Transpose::kYes;
    const Tensor a = test::random_bf16({at ? by.k : by.m, at ? by.m : by.k}, 1);
    const Tensor b = test::random_bf16({bt ? by.n : by.k, bt ? by.k : by.n}, 2);
    Tensor c = test::random({by.m, by.n}, 3);
    const Numbers want = test::numbers(in_f32(a, b, c, how));
    multiply(a, b, c, how);
    EXPECT_LT(test::relative_error(c, want), bound);
    if (how.c == Accumulate::kYes) continue;
    Tensor rounded = test::as(test::nans({by.m, by.n}), DType::kBF16);
    multiply(a, b, rounded, how);
    EXPECT_LT(test::rounding_error(rounded, want, bound), 1.001);
  }
}

TEST_P(MatmulBf16, EqualsF32InEveryTransposition) {
  for (const Sizes& by : {Sizes{1, 1, 1}, Sizes{1, 7, 5}, Sizes{3, 1, 33}, Sizes{17, 31, 65},
                          Sizes{129, 33, 7}, Sizes{64, 257, 96}}) {
    SCOPED_TRACE(by.m);
    expect_like_f32(by, 2e-6, GetParam());
  }
}

/// Sizes that take more than one block of rows, of columns and of depth.
TEST_P(MatmulBf16, EqualsF32OverSeveralBlocks) {
  constexpr int kEvery = test::sanitized_or(3, 1);  // 0, 3 and 6 have each bit set and not set
  expect_like_f32({300, 40, 4099}, 1e-5, GetParam(), kEvery);
  expect_like_f32({150, 8200, 20}, 2e-6, GetParam(), kEvery);
  expect_like_f32({1030, 7, 1100}, 2e-6, GetParam(), kEvery);
  expect_like_f32({7, 1030, 1100}, 2e-6, GetParam(), kEvery);
}

TEST_P(MatmulBf16, HandWorked) {
  const Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4}, DType::kBF16);
  const Tensor b = Tensor::of({2, 2}, {5, 6, 7, 8}, DType::kBF16);
  Tensor c = Tensor::of({2, 2}, {1, 1, 1, 1});
  GetParam()(a, b, c, {.c = Accumulate::kYes});
  EXPECT_EQ(core::to_floats(c), (std::vector<float>{20, 23, 44, 51}));
  Tensor rounded = Tensor::empty({2, 2}, DType::kBF16);
  GetParam()(a, b, rounded, {});
  EXPECT_EQ(core::to_floats(rounded), (std::vector<float>{19, 22, 43, 50}));
}

TEST_P(MatmulBf16, SameBitsEveryTimeWithTheSameThreads) {
  const Tensor a = test::random_bf16({70, 300}, 1);
  const Tensor b = test::random_bf16({300, 90}, 2);
  const int before = threads();
  for (const int count : {1, 2}) {
    set_threads(count);
    Tensor first = Tensor::empty({70, 90}), second = Tensor::empty({70, 90});
    GetParam()(a, b, first, {});
    GetParam()(a, b, second, {});
    EXPECT_EQ(core::to_floats(first), core::to_floats(second));
  }
  set_threads(before);
}

TEST(MatmulBf16Test, RefusesWhatDoesNotFit) {
  Stream stream;
  const Tensor a = test::random_bf16({2, 3}, 1);
  const Tensor b = test::random_bf16({3, 5}, 2);
  Tensor c = Tensor::empty({2, 5});
  EXPECT_EQ(test::message_of([&] { matmul(a, test::widened(b), c, {}, stream); }),
            "matmul: got b f32 [3, 5]; want bf16 [3, 5]");
  Tensor rounded = Tensor::empty({2, 5}, DType::kBF16);
  EXPECT_EQ(test::message_of([&] { matmul(a, b, rounded, {.c = Accumulate::kYes}, stream); }),
            "matmul: got c bf16 [2, 5] to add to; want f32, or c overwritten");
  EXPECT_EQ(
      test::message_of([&] { matmul(test::widened(a), test::widened(b), rounded, {}, stream); }),
      "matmul: got c bf16 [2, 5]; want f32 [2, 5]");
}

INSTANTIATE_TEST_SUITE_P(, MatmulBf16, ::testing::Values(by_matmul, by_conversion),
                         [](const auto& way) {
                           return way.param == by_matmul ? "Matmul" : "Converted";
                         });

}  // namespace
}  // namespace rw::kernels
