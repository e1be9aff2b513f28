// Part of Ropewalk, MIT licence.
// Plans that take turns while training goes on.
#include "pipeline/plan_cycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "collected.h"
#include "core/arena.h"
#include "core/error.h"
#include "pipeline/memory.h"
#include "pipeline/planners.h"
#include "pipeline/trainer.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::TinyJob;
using ::testing::HasSubstr;

std::vector<std::size_t> first_steps(const PlanCycle& cycle, int count) {
  std::vector<std::size_t> out;
  for (int n = 1; n <= count; ++n) out.push_back(cycle.of_step(n));
  return out;
}

PlanCycle cycle_of(std::size_t plans, std::int64_t full_every) {
  PlanCycle out;
  out.plans.resize(plans);
  out.full_every = full_every;
  return out;
}

TEST(PlanCycle, TurnsAndFullIterations) {
  EXPECT_EQ(first_steps(cycle_of(1, 0), 3), (std::vector<std::size_t>{0, 0, 0}));
  EXPECT_EQ(first_steps(cycle_of(3, 0), 7), (std::vector<std::size_t>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(first_steps(cycle_of(3, 3), 9), (std::vector<std::size_t>{0, 1, 2, 0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(first_steps(cycle_of(3, 2), 8), (std::vector<std::size_t>{0, 2, 1, 2, 0, 2, 1, 2}));
  EXPECT_EQ(first_steps(cycle_of(2, 1), 3), (std::vector<std::size_t>{1, 1, 1}));
  const auto within = first_steps(cycle_of(3, 1000).shortened(), 3);
  EXPECT_EQ(within, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(PlanCycle, PlansHaveNames) {
  EXPECT_EQ(cycle_of(1, 0).name_of(4), "");
  EXPECT_EQ(cycle_of(3, 0).name_of(5), "plan 2 of 3");
  EXPECT_EQ(cycle_of(3, 3).name_of(5), "plan 2 of 2");
  EXPECT_EQ(cycle_of(3, 3).name_of(6), "full");
  PlanCycle later = cycle_of(1, 0);
  later.since = 9;
  EXPECT_EQ(later.name_of(9), "planned anew, from step 9 on");
}

/// Two replicas of five stages; paths of three, then all of them in every third step.
struct TurningJob : TinyJob {
  TurningJob() {
    options.parallel.dp = 2;
    options.parallel.pp = 5;
    options.pipeline.schedule = "skippipe";
    options.pipeline.skip_fraction = 0.4;
    options.pipeline.rotation = 2;
    options.pipeline.full_every = 3;
  }
  PlanCycle plans() const { return plans_for(options.parallel, options.pipeline, 8); }
};

struct Outcome {
  std::vector<double> losses;
  std::map<std::string, std::vector<float>> state;
};

/// Steps first … last, from `before` where there is one.
Outcome train(const TurningJob& job, int first, int last, const Outcome* before = nullptr) {
  class Load final : public core::StateVisitor {
   public:
    explicit Load(const Outcome& from) : from_(from) {}
    void tensor(const core::StateTensor& what, core::Tensor& tensor) override {
      const auto& whole = from_.state.at(what.name + " " + what.kind);
      std::copy_n(whole.begin() + what.first, tensor.elems(), tensor.data<float>());
    }
    void number(std::string_view /*key*/, std::uint64_t& /*value*/) override {}
    void text(std::string_view /*key*/, std::string& /*value*/) override {}

   private:
    const Outcome& from_;
  };
  Outcome out;
  test::Collected collected;
  test::on_ranks(10, [&](comm::Communicator& world) {
    const auto trainer = make_trainer(job.options, job.parts(world));
    if (before != nullptr) {
      Load load(*before);
      trainer->visit_state(load);
    }
    for (int n = first; n <= last; ++n) {
      const double loss = trainer->step(n).loss;
      if (world.rank() == 0) out.losses.push_back(loss);
    }
    collected.add(*trainer);
  });
  out.state = collected.values();
  return out;
}

/// Of every one of the first steps.
std::vector<metrics::StepTimeline> timelines_of(TurningJob& job, int steps) {
  job.options.timeline_interval = 1;
  std::vector<metrics::StepTimeline> out;
  test::on_ranks(10, [&](comm::Communicator& world) {
    auto parts = job.parts(world);
    if (world.rank() == 0) {
      parts.timeline = [&](const metrics::StepTimeline& one) { out.push_back(one); };
    }
    const auto trainer = make_trainer(job.options, std::move(parts));
    for (int n = 1; n <= steps; ++n) trainer->step(n);
  });
  return out;
}

TEST(PlanCycle, EveryStepRunsTheVisitsOfItsPlan) {
  TurningJob job;
  const PlanCycle plans = job.plans();
  ASSERT_EQ(plans.plans.size(), 3U);
  const auto timelines = timelines_of(job, 4);
  ASSERT_EQ(timelines.size(), 4U);
  for (std::size_t n = 1; n <= 4; ++n) {
    const Plan& plan = plans.plans[plans.of_step(static_cast<std::int64_t>(n))];
    std::set<std::tuple<int, int, int>> want;
    for (int m = 0; m < plan.micro_batches(); ++m) {
      for (const Visit& visit : plan.paths[static_cast<std::size_t>(m)]) {
        want.emplace(visit.rank, m, visit.stage);
      }
    }
    std::set<std::tuple<int, int, int>> got;
    for (int rank = 0; rank < 10; ++rank) {
      for (const auto& op : timelines[n - 1].ranks[static_cast<std::size_t>(rank)].operations) {
        if (op.name != "reduce") got.emplace(rank, op.micro_batch, op.stage);
      }
    }
    EXPECT_EQ(got, want) << n;
    EXPECT_EQ(timelines[n - 1].plan, plans.name_of(static_cast<std::int64_t>(n)));
  }
}

TEST(PlanCycle, WhatWasMeasuredOfAPlanPredictsItsNextTurn) {
  TurningJob job;
  const auto timelines = timelines_of(job, 9);
  // Each plan is predicted after its first turn behind the third measured step: all of them by step 8.
  EXPECT_LT(metrics::step_ends(timelines[2]).predicted_s, 0);
  for (std::size_t n = 8; n <= 9; ++n) {
    EXPECT_GT(metrics::step_ends(timelines[n - 1]).predicted_s, 0) << n;
  }
}

TEST(PlanCycle, NeedsTheRowsOfAllTurns) {
  Plan one;
  one.paths = {{{0, 0}, {1, 1}, {2, 1}}, {{0, 0}, {1, 2}, {2, 2}}};
  Plan other = one;
  std::swap(other.paths[0], other.paths[1]);
  PlanCycle cycle;
  cycle.plans = {one, other};
  EXPECT_EQ(cycle.needed_on(0), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(cycle.needed_on(2), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(PlanCycle(one).needed_on(2), (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(cycle.needed_on(3).empty());
}

TEST(PlanCycle, WhoGoesOnFromAStepTakesItsTurn) {
  TurningJob job;
  const Outcome whole = train(job, 1, 5);
  const Outcome half = train(job, 1, 2);
  const Outcome rest = train(job, 3, 5, &half);
  EXPECT_EQ(rest.losses, std::vector<double>(whole.losses.begin() + 2, whole.losses.end()));
  EXPECT_EQ(rest.state, whole.state);
  EXPECT_NE(train(job, 4, 6, &half).losses, rest.losses);  // other turns, other rows
}

TEST(PlanCycle, AFullIterationIsAStepOfTheWholeModel) {
  TurningJob job;
  job.options.pipeline.rotation = 0;
  job.options.pipeline.full_every = 1;
  TurningJob whole;
  whole.options.pipeline.rotation = whole.options.pipeline.full_every = 0;
  whole.options.pipeline.skip_fraction = 0;
  const Outcome got = train(job, 1, 3);
  const Outcome want = train(whole, 1, 3);
  EXPECT_EQ(got.losses, want.losses);
  EXPECT_EQ(got.state, want.state);
}

TEST(PlanCycle, MemoryOfAllPlansIsForeseen) {
  TurningJob job;
  job.options.model.hidden_size = 128;
  job.options.model.head_dim = 32;
  job.options.model.intermediate_size = 256;
  job.options.seq_len = job.options.model.max_position_embeddings = 64;
  job.options.micro_batch_size = 2;
  job.options.global_batch_size = 16;
  const auto peak = [&](comm::Communicator& world, const PlanCycle& plans) {
    const auto parts = job.parts(world);
    return predict_memory(job.options, parts.prefetch_steps, world.rank(), plans).peak_bytes;
  };
  test::on_ranks(10, [&](comm::Communicator& world) {
    const PlanCycle plans = plans_for(job.options.parallel, job.options.pipeline, 8);
    const std::int64_t want = peak(world, plans);
    make_trainer(job.options, job.parts(world))->step(1);  // kernels keep scratch per thread
    world.barrier().wait();
    const core::OwnArena arena;
    {
      const auto trainer = make_trainer(job.options, job.parts(world));
      for (int n = 1; n <= 6; ++n) trainer->step(n);
      world.barrier().wait();
    }
    const auto got = static_cast<double>(arena.memory().arena_bytes);
    EXPECT_NEAR(got, static_cast<double>(want), 0.05 * got) << "rank " << world.rank();
    EXPECT_GE(want, peak(world, plans.plans.front())) << "rank " << world.rank();
  });
}

TEST(PlanCycle, RefusesWhatCannotTakeTurns) {
  const auto refusal_of = [](const auto& call) {
    try {
      call();
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  TurningJob job;
  PlanCycle plans = job.plans();
  std::swap(plans.plans[1].paths[0], plans.plans[1].paths[1]);
  EXPECT_THAT(refusal_of([&] { require_sound(plans); }),
              HasSubstr("plan 2 of 3 that take turns: the new plan moves the source"));
  job.options.pipeline.replan_share = 0.1;
  EXPECT_THAT(refusal_of([&] { job.plans(); }), HasSubstr("pipeline.replan_share: got 0.1 with 3"));
  job.options.pipeline.replan_share = 0;
  job.options.pipeline.rotation = 1;
  EXPECT_THAT(refusal_of([&] { job.plans(); }),
              HasSubstr("pipeline.rotation: got 1; want at least 2"));
}

}  // namespace
}  // namespace rw::pipeline
