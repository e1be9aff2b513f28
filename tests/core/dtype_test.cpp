// Part of Ropewalk, MIT licence.
#include "core/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace rw::core {
namespace {

TEST(Bf16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(BF16(1.0F).bits, 0x3f80);
  EXPECT_EQ(BF16(std::bit_cast<float>(0x3f808000U)).bits, 0x3f80);  // a tie, down to even
  EXPECT_EQ(BF16(std::bit_cast<float>(0x3f818000U)).bits, 0x3f82);  // a tie, up to even
  EXPECT_EQ(BF16(std::bit_cast<float>(0x3f808001U)).bits, 0x3f81);
  EXPECT_EQ(BF16(3.4e38F).bits, 0x7f80);  // rounds up to infinity
}

TEST(Bf16Test, NanStaysNan) {
  const float nan = std::bit_cast<float>(0x7f800001U);
  EXPECT_TRUE(std::isnan(static_cast<float>(BF16(nan))));
}

TEST(F16Test, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float x = f16_to_f32(half);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(x))));
    } else {
      EXPECT_EQ(f32_to_f16(x), half) << bits;
    }
  }
}

TEST(F16Test, RoundsBetweenNeighboursAndOverflows) {
  EXPECT_EQ(f32_to_f16(1.0F + 0x1.0p-11F), 0x3c00);      // a tie, to even
  EXPECT_EQ(f32_to_f16(1.0F + 3 * 0x1.0p-11F), 0x3c02);  // a tie, to even
  EXPECT_EQ(f32_to_f16(std::nextafter(1.0F + 0x1.0p-11F, 2.0F)), 0x3c01);
  EXPECT_EQ(f32_to_f16(65519.0F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
}

TEST(VisitFloatTest, RefusesIntegers) {
  try {
    visit_float(DType::kI32, [](auto) {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "got dtype i32, want f32 or bf16");
  }
}

}  // namespace
}  // namespace rw::core
