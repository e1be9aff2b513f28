// Part of Ropewalk, MIT licence.
#include "pipeline/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <ostream>
#include <tuple>

#include "core/error.h"
#include "model/params.h"
#include "random_plans.h"
#include "support/sanitized.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::TinyJob;
using test::train;
using ::testing::HasSubstr;

constexpr int kSteps = rw::test::sanitized_or(6, 20);
constexpr double kFall = rw::test::sanitized_or(0.05, 0.2);  // of the loss, in so many steps
/// What the order of f32 additions may change: sums of 8 micro-batches, two at a time, differ by some
/// units in the last place (6e-8 each), and 20 updates carry them on.
constexpr double kSummation = 2e-5;

void expect_close(const std::vector<core::StepResult>& got,
                  const std::vector<core::StepResult>& want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_LE(std::abs(got[i].loss - want[i].loss), bound * want[i].loss) << "step " << i + 1;
    EXPECT_LE(std::abs(got[i].grad_norm - want[i].grad_norm), 10 * bound * want[i].grad_norm)
        << "step " << i + 1;
  }
}

std::vector<core::StepResult> run(const TinyJob& job, int steps = kSteps) {
  const auto& parallel = job.options.parallel;
  return train(static_cast<int>(parallel.dp * parallel.pp), steps, [&](comm::Communicator& world) {
    return make_trainer(job.options, job.parts(world));
  });
}

const std::vector<core::StepResult>& one_rank(bool tied) {
  static const auto kUntied = run(TinyJob(false));
  static const auto kTied = run(TinyJob(true));
  return tied ? kTied : kUntied;
}

struct Layout {
  int dp, pp;
  const char* schedule;
  bool tied;
};

void PrintTo(const Layout& layout, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << "dp " << layout.dp << ", pp " << layout.pp << ", " << layout.schedule
       << (layout.tied ? ", tied" : "");
}

std::vector<Layout> layouts() {
  std::vector<Layout> out;
  for (const int dp : {1, 2, 4}) {
    for (const int pp : {1, 2, 4}) {
      if (dp * pp > 8) continue;
      for (const char* schedule : {"gpipe", "1f1b", "interleaved", "zero_bubble"}) {
        for (const bool tied : {false, true}) out.push_back({dp, pp, schedule, tied});
      }
    }
  }
  return out;
}

class EveryLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(EveryLayout, GivesTheLossesOfOneRank) {
  const Layout& layout = GetParam();
  TinyJob job(layout.tied);
  job.options.parallel = {layout.dp, layout.pp};
  job.options.pipeline.schedule = layout.schedule;
  const auto got = run(job);
  expect_close(got, one_rank(layout.tied), kSummation);
  EXPECT_LT(got.back().loss, got.front().loss - kFall);
}

INSTANTIATE_TEST_SUITE_P(Trainer, EveryLayout, ::testing::ValuesIn(layouts()),
                         [](const auto& tested) {
                           const Layout& layout = tested.param;
                           return "dp" + std::to_string(layout.dp) + "_pp" +
                                  std::to_string(layout.pp) + "_" + layout.schedule +
                                  (layout.tied ? "_tied" : "");
                         });

TEST(Trainer, TwoRunsGiveTheSameBits) {
  TinyJob job(true);
  job.options.parallel = {2, 2};
  job.options.pipeline.schedule = "zero_bubble";
  const auto a = run(job, 8);
  const auto b = run(job, 8);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].loss, b[i].loss);
    EXPECT_EQ(a[i].grad_norm, b[i].grad_norm);
  }
}

TEST(Trainer, BucketSizeChangesNoBit) {
  TinyJob job;
  job.options.parallel = {4, 1};
  const auto large = run(job, 6);
  job.options.pipeline.bucket_bytes = 100;
  const auto small = run(job, 6);
  for (std::size_t i = 0; i < large.size(); ++i) EXPECT_EQ(large[i].loss, small[i].loss);
}

TEST(Trainer, RecomputeChangesNoBit) {
  for (const auto& [dp, pp, schedule] :
       {std::tuple{1, 1, "gpipe"}, std::tuple{2, 1, "1f1b"}, std::tuple{1, 2, "1f1b"},
        std::tuple{1, 4, "gpipe"}, std::tuple{1, 2, "interleaved"},
        std::tuple{2, 2, "zero_bubble"}}) {
    TinyJob job(true);
    job.options.parallel = {dp, pp};
    job.options.pipeline.schedule = schedule;
    constexpr int kFew = rw::test::sanitized_or(2, 4);
    const auto want = run(job, kFew);
    for (const auto recompute : {model::Recompute::kSelective, model::Recompute::kFull}) {
      job.options.recompute = {recompute};
      const auto got = run(job, kFew);
      for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].loss, want[i].loss) << schedule;
        EXPECT_EQ(got[i].grad_norm, want[i].grad_norm) << schedule;
      }
    }
  }
}

TEST(Trainer, UnevenStages) {
  TinyJob job;
  job.options.parallel = {1, 3};
  job.options.pipeline.stage_split = {5, 1, 2};
  expect_close(run(job), one_rank(false), kSummation);
}

TEST(Trainer, MoreReplicasThanMicroBatches) {
  TinyJob job;
  job.options.micro_batch_size = 4;  // two micro-batches, three replicas: one has nothing to do
  TinyJob alone;
  alone.options.micro_batch_size = 4;
  job.options.parallel = {3, 2};
  expect_close(run(job, 6), run(alone, 6), kSummation);
}

TEST(Trainer, ReplicasWithDifferentCounts) {
  TinyJob job;
  job.options.parallel = {3, 2};  // 8 micro-batches: 3, 3 and 2
  job.options.pipeline.schedule = "interleaved";
  expect_close(run(job), one_rank(false), kSummation);
}

/// The same paths with every stage on one rank: what a skipping plan must give wherever it runs.
Plan on_one_rank(const Plan& plan) {
  Plan out;
  out.schedule = "one rank";
  out.stages = plan.stages;
  out.stages_of_rank.resize(1);
  for (int s = 0; s < plan.stages; ++s) out.stages_of_rank[0].push_back(s);
  out.operations.resize(1);
  for (std::size_t m = 0; m < plan.paths.size(); ++m) {
    auto path = plan.paths[m];
    for (Visit& visit : path) visit.rank = 0;
    for (const Visit& visit : path) {
      out.operations[0].push_back({OpKind::kForward, static_cast<int>(m), visit.stage});
    }
    for (std::size_t i = path.size(); i-- > 0;) {
      out.operations[0].push_back({OpKind::kBackward, static_cast<int>(m), path[i].stage});
    }
    out.paths.push_back(std::move(path));
  }
  complete(out);
  return out;
}

class RandomPlans : public ::testing::TestWithParam<int> {};

TEST_P(RandomPlans, GiveWhatTheirPathsGiveOnOneRank) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const bool skip = GetParam() % 2 == 1;
  TinyJob job(GetParam() % 3 == 0);
  Plan plan;
  // A stage that no micro-batch visits has no gradient: such plans are not wanted here.
  for (bool all = false; !all;) {
    plan = test::random_plan({2 + GetParam() % 4, 4, 8, skip}, random);
    std::vector<int> visits(4, 0);
    for (const auto& path : plan.paths) {
      for (const Visit& visit : path) ++visits[static_cast<std::size_t>(visit.stage)];
    }
    all = std::count(visits.begin(), visits.end(), 0) == 0;
  }
  const auto with = [&](const Plan& chosen) {
    return train(chosen.ranks(), 6, [&](comm::Communicator& world) {
      return make_trainer(job.options, job.parts(world), chosen);
    });
  };
  const auto got = with(plan);
  expect_close(got, with(on_one_rank(plan)), kSummation);
  if (!skip) {
    auto want = one_rank(GetParam() % 3 == 0);
    want.resize(6);
    expect_close(got, want, kSummation);
  }
}

INSTANTIATE_TEST_SUITE_P(Trainer, RandomPlans, ::testing::Range(0, rw::test::sanitized_or(6, 12)));

TEST(Trainer, ValidationIsTheSameOnEveryLayoutAndLeavesTheStateAlone) {
  std::vector<double> losses;
  for (const auto& [dp, pp] :
       {std::pair{1, 1}, std::pair{1, 4}, std::pair{2, 2}, std::pair{4, 1}}) {
    TinyJob job;
    job.data.validation = {{job.folder / "corpus.h5", 1.0}};
    job.data.validation_rows = 7;
    job.options.micro_batch_size = 2;  // the last micro-batch is smaller
    job.options.parallel = {dp, pp};
    double before = 0;
    double after = 0;
    test::on_ranks(dp * pp, [&](comm::Communicator& world) {
      const auto trainer = make_trainer(job.options, job.parts(world));
      trainer->step(1);
      const double one = trainer->validate().value();
      const double two = trainer->validate().value();
      if (world.rank() == 0) {
        before = one;
        after = two;
      }
    });
    EXPECT_EQ(before, after);
    losses.push_back(before);
  }
  for (const double loss : losses) EXPECT_NEAR(loss, losses[0], kSummation * losses[0]);
  TinyJob none;
  EXPECT_EQ(make_trainer(none.options, none.parts(*comm::make_local()))->validate(), std::nullopt);
}

/// Copies the state out of a trainer, or back into one.
class Memory final : public core::StateVisitor {
 public:
  explicit Memory(bool loading) : loading_(loading) {}
  void load() { loading_ = true; }
  void tensor(const core::StateTensor& what, core::Tensor& tensor) override {
    auto& kept = tensors_[what.name + " " + what.kind];
    core::Stream stream;
    if (loading_) {
      core::copy(kept, tensor, stream);
    } else {
      kept = core::Tensor::like(tensor);
      core::copy(tensor, kept, stream);
    }
  }
  void number(std::string_view key, std::uint64_t& value) override {
    auto& kept = numbers_[std::string(key)];
    (loading_ ? value : kept) = loading_ ? kept : value;
  }
  void text(std::string_view /*key*/, std::string& /*value*/) override {}

 private:
  bool loading_;
  std::map<std::string, core::Tensor> tensors_;
  std::map<std::string, std::uint64_t> numbers_;
};

TEST(Trainer, StateSavedAndLoadedGoesOnToTheBit) {
  TinyJob job(true);
  const auto whole = run(job, 10);
  const auto world = comm::make_local();
  Memory memory(false);
  {
    const auto first = make_trainer(job.options, job.parts(*world));
    for (int n = 1; n <= 4; ++n) first->step(n);
    first->visit_state(memory);
  }
  memory.load();
  job.options.optimizer.lr = 0.01;
  const auto second = make_trainer(job.options, job.parts(*world));
  second->visit_state(memory);
  for (int n = 5; n <= 10; ++n) {
    EXPECT_EQ(second->step(n).loss, whole[static_cast<std::size_t>(n - 1)].loss) << n;
  }
}

TEST(TrainerInBf16, StateSavedAndLoadedGoesOnToTheBit) {
  TinyJob job(true);
  job.options.compute = core::DType::kBF16;
  const auto whole = run(job, 8);
  const auto world = comm::make_local();
  Memory memory(false);
  {
    const auto first = make_trainer(job.options, job.parts(*world));
    for (int n = 1; n <= 4; ++n) first->step(n);
    first->visit_state(memory);
  }
  memory.load();
  const auto second = make_trainer(job.options, job.parts(*world));
  second->visit_state(memory);
  for (int n = 5; n <= 8; ++n) {
    EXPECT_EQ(second->step(n).loss, whole[static_cast<std::size_t>(n - 1)].loss) << n;
  }
}

/// bf16 products change a loss by some tenths of a percent; twenty steps from the same start stay
/// within this of f32.
constexpr double kBf16Band = 0.01;
/// A job on that layout.
struct Bf16Job : TinyJob {
  explicit Bf16Job(const Layout& layout) : TinyJob(layout.tied) {
    options.compute = core::DType::kBF16;
    options.parallel = {layout.dp, layout.pp};
    options.pipeline.schedule = layout.schedule;
  }
};
constexpr std::array<Layout, 7> kBf16Layouts{{{1, 1, "1f1b", true},
                                              {2, 1, "1f1b", true},
                                              {1, 2, "1f1b", true},
                                              {2, 2, "1f1b", false},
                                              {1, 2, "zero_bubble", true},
                                              {1, 2, "interleaved", true},
                                              {2, 2, "gpipe", true}}};

TEST(TrainerInBf16, ShardedOptimizerStateChangesNoBit) {
  TinyJob job(true);
  job.options.compute = core::DType::kBF16;
  job.options.parallel = {.dp = 2, .pp = 2};
  const auto whole = run(job, 6);
  job.options.parallel.zero = 1;
  const auto sharded = run(job, 6);
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(sharded[i].loss, whole[i].loss) << i;
}

/// A validation gives every copy of a weight memory; a step finds them there, or rounds them itself.
TEST(TrainerInBf16, ValidationBetweenStepsChangesNoBit) {
  for (const Layout& layout : kBf16Layouts) {
    Bf16Job job(layout);
    job.data.validation = {{job.folder / "corpus.h5", 1.0}};
    job.data.validation_rows = 4;
    const auto want = run(job, 6);
    test::on_ranks(layout.dp * layout.pp, [&](comm::Communicator& world) {
      const auto trainer = make_trainer(job.options, job.parts(world));
      for (int n = 1; n <= 6; ++n) {
        const double loss = trainer->step(n).loss;
        EXPECT_EQ(loss, want[static_cast<std::size_t>(n - 1)].loss) << layout.schedule << n;
        EXPECT_TRUE(trainer->validate().has_value());
      }
    });
  }
}

TEST(TrainerInBf16, FollowsF32OnEveryKindOfLayout) {
  for (const Layout& layout : kBf16Layouts) {
    Bf16Job job(layout);
    const auto got = run(job);
    const auto& want = one_rank(layout.tied);
    double apart = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_LE(std::abs(got[i].loss - want[i].loss), kBf16Band * want[i].loss) << "step " << i + 1;
      apart += std::abs(got[i].loss - want[i].loss);
    }
    EXPECT_GT(apart, 0);  // or nothing was computed in bf16
    EXPECT_LT(got.back().loss, got.front().loss - kFall);
  }
}

TEST(Trainer, EveryTensorHasOneOwner) {
  for (const bool tied : {false, true}) {
    TinyJob job(tied);
    job.options.parallel = {2, 4};
    std::mutex mutex;
    std::map<std::string, int> owners;
    class Owned final : public core::StateVisitor {
     public:
      void tensor(const core::StateTensor& what, core::Tensor& /*tensor*/) override {
        names[what.name + " " + what.kind] += what.owned ? 1 : 0;
      }
      void number(std::string_view /*key*/, std::uint64_t& /*value*/) override {}
      void text(std::string_view /*key*/, std::string& /*value*/) override {}
      std::map<std::string, int> names;
    };
    test::on_ranks(8, [&](comm::Communicator& world) {
      const auto trainer = make_trainer(job.options, job.parts(world));
      Owned owned;
      trainer->visit_state(owned);
      const std::lock_guard lock(mutex);
      for (const auto& [name, count] : owned.names) owners[name] += count;
    });
    EXPECT_EQ(owners.size(), 3 * model::param_table(job.options.model).size());
    for (const auto& [name, count] : owners) EXPECT_EQ(count, 1) << name;
  }
}

TEST(Trainer, NonFiniteLossStopsBeforeAnyWeightChanges) {
  TinyJob job;
  job.options.optimizer.lr = 1e30;
  const auto world = comm::make_local();
  const auto trainer = make_trainer(job.options, job.parts(*world));
  trainer->step(1);
  Memory before(false);
  trainer->visit_state(before);
  try {
    for (int n = 2; n < 10; ++n) {
      before = Memory(false);
      trainer->visit_state(before);
      trainer->step(n);
    }
    FAIL() << "a learning rate of 1e30 gave finite losses";
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kNonFinite);
    EXPECT_THAT(error.what(), HasSubstr("no weight was changed"));
  }
}

TEST(Trainer, ClippingLimitsTheStepNotTheReportedNorm) {
  TinyJob job;
  job.options.clip_grad_norm = 1e-3;
  const auto clipped = run(job, 3);
  job.options.clip_grad_norm = 0;
  const auto free = run(job, 3);
  EXPECT_EQ(clipped[0].grad_norm, free[0].grad_norm);
  EXPECT_GT(free[0].grad_norm, 1e-2);
}

TEST(Trainer, RefusesPlansThatDoNotFitTheJob) {
  TinyJob job;
  const auto world = comm::make_local();
  EXPECT_THROW(make_trainer(job.options, job.parts(*world), plan_1f1b({1, 2, 1, 8})), core::Error);
  EXPECT_THROW(make_trainer(job.options, job.parts(*world), plan_1f1b({1, 1, 1, 7})), core::Error);
  Plan broken = plan_1f1b({1, 1, 1, 8});
  broken.operations[0].pop_back();
  EXPECT_THROW(make_trainer(job.options, job.parts(*world), broken), core::Error);
  job.options.micro_batch_size = 3;
  EXPECT_THROW(make_trainer(job.options, job.parts(*world)), core::Error);
}

}  // namespace
}  // namespace rw::pipeline
