// Part of Ropewalk, MIT licence.
#include "model/rope_table.h"

#include <gtest/gtest.h>

#include <numbers>

#include "model/tiny.h"

namespace rw::model {
namespace {

Options with(const std::string& type) {
  Options out;
  out.head_dim = 8;
  out.rope_parameters.rope_type = type;
  out.rope_parameters.rope_theta = 10000;
  return out;
}

TEST(RopeTableTest, DefaultFrequenciesFallByPowersOfTheta) {
  const std::vector<float> got = rope_inverse_frequencies(with("default"));
  ASSERT_EQ(got.size(), 4U);
  EXPECT_FLOAT_EQ(got[0], 1.0F);
  EXPECT_FLOAT_EQ(got[1], 0.1F);
  EXPECT_FLOAT_EQ(got[2], 0.01F);
  EXPECT_FLOAT_EQ(got[3], 0.001F);
}

TEST(RopeTableTest, LinearStretchesEveryWave) {
  Options options = with("linear");
  options.rope_parameters.factor = 4;
  const std::vector<float> got = rope_inverse_frequencies(options);
  EXPECT_FLOAT_EQ(got[0], 0.25F);
  EXPECT_FLOAT_EQ(got[3], 0.00025F);
}

TEST(RopeTableTest, Llama3KeepsShortWavesStretchesLongOnesAndBlends) {
  Options options = with("llama3");
  options.rope_parameters.factor = 8;
  options.rope_parameters.low_freq_factor = 1;
  options.rope_parameters.high_freq_factor = 4;
  options.rope_parameters.original_max_position_embeddings = 100;
  const std::vector<float> got = rope_inverse_frequencies(options);
  EXPECT_FLOAT_EQ(got[0], 1.0F);                   // wave of 6.3 tokens, shorter than 100 / 4
  EXPECT_FLOAT_EQ(got[2], 0.01F / 8);              // 628 tokens, longer than 100
  const double wave = 2 * std::numbers::pi / 0.1;  // 62.8 tokens: between the two
  const double smooth = (100 / wave - 1) / (4 - 1);
  EXPECT_NEAR(got[1], (1 - smooth) * 0.1 / 8 + smooth * 0.1, 1e-7);
}

TEST(RopeTableTest, HoldsCosinesAndSinesOfPositionTimesFrequency) {
  const RopeTable table = make_rope_table(with("default"), 50);
  EXPECT_EQ(table.positions(), 50);
  EXPECT_EQ(table.cos.shape(), (core::Shape{50, 4}));
  const std::vector<float> cos = core::to_floats(table.cos);
  const std::vector<float> sin = core::to_floats(table.sin);
  EXPECT_EQ(cos[0], 1.0F);
  EXPECT_EQ(sin[0], 0.0F);
  EXPECT_NEAR(cos[49 * 4 + 1], std::cos(4.9), 1e-6);
  EXPECT_NEAR(sin[49 * 4 + 0], std::sin(49.0), 1e-6);
}

TEST(RopeTableTest, ALongerTableStartsWithTheShorterOne) {
  const std::vector<float> shorter = core::to_floats(make_rope_table(with("default"), 7).sin);
  std::vector<float> longer = core::to_floats(make_rope_table(with("default"), 19).sin);
  longer.resize(shorter.size());
  EXPECT_EQ(longer, shorter);
}

}  // namespace
}  // namespace rw::model
