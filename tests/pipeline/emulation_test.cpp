// Part of Ropewalk, MIT licence.
// Operations that last as long as a problem says.
#include "pipeline/emulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <mutex>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/planners.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::TinyJob;

WalkCosts costs_of(std::vector<double> forward_s) {
  WalkCosts out;
  out.memory.assign(forward_s.size(), 3);
  out.transfer_s.assign(forward_s.size(), std::vector<double>(forward_s.size(), 0.5));
  out.forward_s = std::move(forward_s);
  out.backward_factor = 2;
  out.loss_factor = 0.75;
  return out;
}

Problem problem_of(int pp, int micro_batches) {
  Problem out;
  out.pp = pp;
  out.micro_batches = micro_batches;
  return out;
}

TEST(Emulation, TheLossIsPartOfTheLastStageOrAStageOfItsOwn) {
  const Emulation emulation(costs_of({1, 4}), {0, 5, 3});
  const Plan classic = plan_1f1b(problem_of(2, 2));
  const auto least = [&](const Plan& plan, int rank, int stage, OpKind kind, std::int64_t n) {
    return emulation.least_s(plan, rank, {kind, 0, stage}, kind, n);
  };
  EXPECT_DOUBLE_EQ(least(classic, 0, 0, OpKind::kForward, 1), 1);
  EXPECT_DOUBLE_EQ(least(classic, 0, 0, OpKind::kBackward, 1), 2);
  EXPECT_DOUBLE_EQ(least(classic, 1, 1, OpKind::kForward, 1), 4 + 2);
  EXPECT_DOUBLE_EQ(least(classic, 1, 1, OpKind::kBackward, 1), 8 + 1);
  EXPECT_DOUBLE_EQ(least(classic, 1, 1, OpKind::kBackwardInput, 1), 4);
  EXPECT_DOUBLE_EQ(least(classic, 1, 1, OpKind::kBackwardWeight, 1), 4 + 1);
  EXPECT_DOUBLE_EQ(least(classic, 0, 0, OpKind::kForward, 4), 1);
  EXPECT_DOUBLE_EQ(least(classic, 0, 0, OpKind::kForward, 5), 3);
  EXPECT_DOUBLE_EQ(least(classic, 0, 0, OpKind::kSendActivation, 1), 0);
  const Plan paths = plan_skipping(problem_of(2, 2), 2);
  EXPECT_DOUBLE_EQ(least(paths, 1, 1, OpKind::kBackward, 1), 8);
  EXPECT_DOUBLE_EQ(least(paths, 0, 2, OpKind::kForward, 1), 0.5);
  EXPECT_DOUBLE_EQ(least(paths, 0, 2, OpKind::kBackward, 1), 0.25);
}

TEST(Emulation, PartsOfABackwardLastAsASplitProblemSays) {
  WalkCosts costs = costs_of({1, 4});
  costs.weight_factor = 0.5;
  const Emulation emulation(costs);
  const Plan plan = plan_skipping(problem_of(2, 2), 2);
  const auto least = [&](OpKind kind) { return emulation.least_s(plan, 1, {kind, 0, 1}, kind, 1); };
  EXPECT_DOUBLE_EQ(least(OpKind::kBackward), 8 + 2);
  EXPECT_DOUBLE_EQ(least(OpKind::kBackwardInput), 8);
  EXPECT_DOUBLE_EQ(least(OpKind::kBackwardWeight), 2);
}

TEST(Emulation, SimulatesWhatItPlays) {
  const Emulation emulation(costs_of({1, 1}));
  const Plan plan = plan_gpipe(problem_of(2, 1));
  // Forwards 1 and 1 + 0.5, backwards 2 + 0.25 and 2, the way there and back.
  EXPECT_NEAR(simulate(plan, emulation.costs(plan, 1)).makespan, 6.75 + 2 * 0.5, 1e-9);
}

TEST(Emulation, AProblemOfOtherNodesIsRefused) {
  test::TempFolder folder;
  Options options;
  options.emulate = true;
  options.problem = folder / "problem.json";
  std::ofstream(options.problem) << R"({"nodes": [{"forward_s": 1, "memory_micro_batches": 1}],
    "backward_factor": 2, "loss_factor": 0, "transfer_s": [[0]]})";
  EXPECT_TRUE(make_emulation(options, 1).has_value());
  EXPECT_THROW(make_emulation(options, 2), core::Error);
  ParallelOptions two;
  two.pp = 2;
  EXPECT_THROW(plan_for(two, options, 4), core::Error);
  options.emulate = false;
  EXPECT_FALSE(make_emulation(options, 2).has_value());
}

/// Every pass lasts at least as long as asked, and no bit changes.
TEST(Emulation, PadsAndChangesNoBit) {
  for (const char* schedule : {"gpipe", "zero_bubble", "skippipe"}) {
    TinyJob job;
    job.options.parallel.pp = 3;
    job.options.pipeline.schedule = schedule;
    job.options.pipeline.patience_ms = std::string(schedule) == "skippipe" ? 1 : -1;
    job.options.timeline_interval = 1;
    const std::string problem = job.folder / "problem.json";
    std::ofstream(problem) << R"({"nodes": [{"forward_s": 0.002, "memory_micro_batches": 1},
      {"forward_s": 0.004, "memory_micro_batches": 1}, {"forward_s": 0.003, "memory_micro_batches": 1}],
      "backward_factor": 1.5, "loss_factor": 0.5, "transfer_s": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]})";
    std::vector<std::vector<core::StepResult>> results;
    for (const bool emulate : {false, true}) {
      job.options.pipeline.emulate = emulate;
      job.options.pipeline.problem = emulate ? problem : "";
      job.options.pipeline.emulate_slow.clear();
      if (emulate) job.options.pipeline.emulate_slow = {1, 3, 2};
      job.options.emulation = make_emulation(job.options.pipeline, 3);
      std::vector<metrics::StepTimeline> lines;
      results.push_back(test::train(3, 3, [&](comm::Communicator& world) {
        auto parts = job.parts(world);
        parts.timeline = [&](const metrics::StepTimeline& one) { lines.push_back(one); };
        return make_trainer(job.options, std::move(parts));
      }));
      ASSERT_EQ(lines.size(), 3U);
      if (!emulate) continue;
      for (const auto& line : lines) {
        const double forward = line.step < 3 ? 0.004 : 0.008;
        int passes = 0;
        for (const auto& op : line.ranks[1].operations) {
          if (op.name == "reduce") continue;
          ++passes;
          const bool halves = op.name == "backward_input" || op.name == "backward_weight";
          const double least = op.name == "forward" ? forward : forward * 1.5 / (halves ? 2 : 1);
          EXPECT_GE(op.end_s - op.begin_s, least) << op.name << " in step " << line.step;
        }
        EXPECT_GE(passes, 16) << schedule;
      }
    }
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(results[0][i].loss, results[1][i].loss) << schedule;
      EXPECT_EQ(results[0][i].grad_norm, results[1][i].grad_norm) << schedule;
    }
  }
}

}  // namespace
}  // namespace rw::pipeline
