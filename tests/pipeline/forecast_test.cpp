// Part of Ropewalk, MIT licence.
// What check says of jobs that are too large to be planned as a whole is what it says when they are.
#include "pipeline/forecast.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "pipeline/planners.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

constexpr std::int64_t kPrefetch = 4;
/// A few hundred micro-batches are large.
constexpr ForecastLimits kFew{128, 512, 0};
constexpr ForecastLimits kAll{1 << 30, 1 << 30, std::int64_t{1} << 40};

struct Shape {
  const char* schedule;
  int dp, pp;
  std::int64_t per_replica;
  const char* recompute = "none";
  double patience_ms = -1;
};

TrainerOptions options_of(const Shape& shape, std::int64_t seq_len = 128) {
  TrainerOptions out;
  auto& model = out.model;
  model.hidden_size = 32;
  model.num_hidden_layers = 8;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.intermediate_size = 64;
  model.vocab_size = 128;
  out.seq_len = seq_len;
  out.global_batch_size = shape.dp * shape.per_replica;
  out.parallel = {shape.dp, shape.pp};
  out.pipeline.schedule = shape.schedule;
  out.pipeline.patience_ms = shape.patience_ms;
  out.recompute = {model::recompute_of(shape.recompute)};
  model::resolve(model, seq_len);
  return out;
}

class ForecastOf : public ::testing::TestWithParam<Shape> {};

TEST_P(ForecastOf, ALargeJobIsThatOfTheWholeOne) {
  const auto options = options_of(GetParam());
  const Forecast whole = forecast(options, kPrefetch, {}, kAll);
  const Forecast large = forecast(options, kPrefetch, {}, kFew);
  ASSERT_EQ(large.kind_of_rank.size(), whole.kind_of_rank.size());
  EXPECT_EQ(large.stages, whole.stages);
  EXPECT_EQ(large.micro_batches, whole.micro_batches);
  EXPECT_EQ(large.parameters, whole.parameters);
  // A plan that skips has a rhythm of its own, which few micro-batches do not show.
  EXPECT_NEAR(large.bubble, whole.bubble, options.pipeline.schedule == "skippipe" ? 0.05 : 1e-9);
  for (std::size_t rank = 0; rank < whole.kind_of_rank.size(); ++rank) {
    const RankKind& want = whole.kinds[whole.kind_of_rank[rank]];
    const RankKind& got = large.kinds[large.kind_of_rank[rank]];
    EXPECT_EQ(got.parameters, want.parameters) << rank;
    for (const auto& [what, bytes] : want.memory.parts) {
      if (what == "gaps") continue;
      EXPECT_EQ(got.memory.parts.at(what), bytes) << what << " of rank " << rank;
    }
    EXPECT_NEAR(static_cast<double>(got.memory.peak_bytes),
                static_cast<double>(want.memory.peak_bytes),
                0.01 * static_cast<double>(want.memory.peak_bytes))
        << rank;
  }
}

void PrintTo(const Shape& shape, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << shape.schedule << " " << shape.dp << " x " << shape.pp << " of " << shape.per_replica
       << ", recompute " << shape.recompute << ", patience " << shape.patience_ms;
}

INSTANTIATE_TEST_SUITE_P(
    Forecast, ForecastOf,
    ::testing::Values(Shape{"gpipe", 1, 1, 60}, Shape{"gpipe", 3, 4, 60, "full"},
                      Shape{"gpipe", 2, 2, 50, "selective", 1}, Shape{"1f1b", 1, 1, 60},
                      Shape{"1f1b", 2, 4, 75, "selective"}, Shape{"1f1b", 1, 8, 90, "none", 1},
                      Shape{"interleaved", 2, 4, 77}, Shape{"interleaved", 1, 2, 64, "full"},
                      Shape{"zero_bubble", 2, 4, 75}, Shape{"zero_bubble", 1, 8, 100, "full", 1},
                      Shape{"skippipe", 1, 1, 60}, Shape{"skippipe", 2, 4, 60, "selective", 1},
                      Shape{"zero_bubble", 1, 4, 90, "none"}, Shape{"1f1b", 3, 4, 2}));

/// 405B parameters on 4000 ranks, as many micro-batches a replica as make 400,000.
TrainerOptions huge(const char* schedule, std::int64_t dp, std::int64_t pp, std::int64_t zero) {
  TrainerOptions out = options_of({schedule, 1, 1, 1}, 8192);
  auto& model = out.model;
  model = {};
  model.hidden_size = 16384;
  model.num_hidden_layers = 126;
  model.num_attention_heads = 128;
  model.num_key_value_heads = 8;
  model.intermediate_size = 53248;
  model.vocab_size = 128256;
  model::resolve(model, out.seq_len);
  out.parallel = {dp, pp, zero};
  out.global_batch_size = dp * (400000 / dp);
  return out;
}

TEST(Forecast, NeedsNothingOfWhatItForecasts) {
  for (const char* schedule : {"gpipe", "1f1b", "zero_bubble", "skippipe"}) {
    const auto options = huge(schedule, 62, 63, 1);
    const Forecast out = forecast(options, kPrefetch, {});
    EXPECT_EQ(out.kind_of_rank.size(), 3906U) << schedule;
    EXPECT_GT(out.parameters, 405'000'000'000) << schedule;
    for (const RankKind& kind : out.kinds) {
      const auto& parts = kind.memory.parts;
      EXPECT_NEAR(static_cast<double>(parts.at("weights")),
                  4.0 * static_cast<double>(kind.parameters), 1e6);
      EXPECT_GT(parts.at("gaps"), -1);
      std::int64_t sum = 0;
      for (const auto& [what, bytes] : parts) sum += bytes;
      EXPECT_EQ(sum, kind.memory.peak_bytes);
    }
  }
  const Forecast replicas = forecast(huge("1f1b", 4000, 1, 1), kPrefetch, {});
  EXPECT_EQ(replicas.kinds.size(), 1U);
  // A share of two moments for each parameter, in f32.
  EXPECT_NEAR(static_cast<double>(replicas.kinds[0].memory.parts.at("optimizer")),
              8.0 * static_cast<double>(replicas.parameters) / 4000, 1e6);
}

TEST(Forecast, RefusesWhatCannotBeCounted) {
  TrainerOptions options = options_of({"gpipe", 1, 1, 1}, 1 << 30);
  options.global_batch_size = 1 << 30;
  EXPECT_THROW(forecast(options, kPrefetch, {}), core::Error);  // 2^61 bytes and more
  options = options_of({"1f1b", 1, 1, 1});
  for (const auto& [dp, pp] : {std::pair<std::int64_t, std::int64_t>{1 << 16, 2},
                               {std::int64_t{1} << 32, std::int64_t{1} << 32},
                               {0, 1},
                               {1, -1}}) {
    options.parallel = {dp, pp};
    EXPECT_THROW(forecast(options, kPrefetch, {}), core::Error) << dp << " " << pp;
  }
  options.parallel = {1, 1};
  options.global_batch_size = (std::int64_t{1} << 32) + 1;  // as an int: 1
  EXPECT_THROW(forecast(options, kPrefetch, {}), core::Error);
}

}  // namespace
}  // namespace rw::pipeline
