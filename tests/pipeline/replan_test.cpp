// Part of Ropewalk, MIT licence.
// What is measured, and plans that take over while training goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/pace.h"
#include "pipeline/path_planner.h"
#include "pipeline/plan_check.h"
#include "pipeline/planners.h"
#include "pipeline/replanner.h"
#include "pipeline/timeline.h"
#include "pipeline/trainer.h"
#include "pipeline/walk_chooser.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::TinyJob;
using ::testing::HasSubstr;

Problem problem_of(int dp, int pp, int micro_batches) {
  Problem out;
  out.dp = dp;
  out.pp = pp;
  out.micro_batches = micro_batches;
  return out;
}

/// Numbers of a step in which rank r takes speed[r] seconds for a forward and twice that for a backward.
StepNumbers numbers_of(const Plan& plan, const std::vector<double>& speed) {
  StepNumbers out;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    auto& stages = out.stages.emplace_back();
    for (const int stage : plan.stages_of_rank[static_cast<std::size_t>(rank)]) {
      StageNumbers one;
      for (const auto& path : plan.paths) {
        for (const Visit& visit : path) {
          if (visit != Visit{stage, rank}) continue;
          one.forward_s += speed[static_cast<std::size_t>(rank)];
          one.backward_s += 2 * speed[static_cast<std::size_t>(rank)];
        }
      }
      stages.push_back(one);
    }
  }
  out.loss_tokens.assign(plan.paths.size(), 1);
  out.loss_sums.assign(plan.paths.size(), 1);
  out.busy_ns.assign(plan.operations.size(), 1);
  out.elapsed_ns.assign(plan.operations.size(), 1);
  return out;
}

TEST(Pace, MeansFollowWhatIsMeasuredAndLeaveTheFirstStepOut) {
  const Plan plan = plan_1f1b(problem_of(1, 2, 4));
  Pace pace(0.5);
  pace.add(plan, numbers_of(plan, {100, 100}));
  EXPECT_EQ(pace.steps(), 0);
  pace.add(plan, numbers_of(plan, {1, 2}));
  EXPECT_EQ(pace.busy_s(plan), (std::vector<double>{12, 24}));
  pace.add(plan, numbers_of(plan, {3, 2}));
  EXPECT_EQ(pace.busy_s(plan), (std::vector<double>{24, 24}));
  Plan predicted = plan;
  predicted.predicted = simulate(plan, pace.costs(plan)).spans;
  EXPECT_EQ(plan_problem(predicted), "");
  EXPECT_EQ(predicted_busy_s(predicted), pace.busy_s(plan));
  pace.add(plan, numbers_of(plan, {2, 6}));  // rank 1's mean: 4
  const auto worst = disagreement(predicted_busy_s(predicted), pace.busy_s(plan));
  EXPECT_EQ(worst.rank, 1);
  EXPECT_DOUBLE_EQ(worst.share, 1);
}

TEST(Replan, APlanAtTheMeasuredPaceIsNoLonger) {
  Plan plan = plan_skipping(problem_of(2, 4, 12), 3);
  std::vector<double> speed(8, 1);
  speed[5] = 3;
  Pace pace(1);
  for (int i = 0; i < 2; ++i) pace.add(plan, numbers_of(plan, speed));
  plan.predicted = simulate(plan, pace.costs(plan)).spans;
  const Plan next = replan_paths(plan, pace.walk_costs(plan), 0.3);
  EXPECT_EQ(takeover_problem(plan, next), "");
  EXPECT_LE(simulate(next, pace.costs(next)).makespan,
            simulate(plan, pace.costs(plan)).makespan + 1e-9);
}

TEST(Replan, WhatMustStayIsNamed) {
  const Plan plan = plan_skipping(problem_of(2, 3, 4), 2);
  EXPECT_EQ(takeover_problem(plan, plan), "");
  EXPECT_THAT(takeover_problem(plan, plan_skipping(problem_of(2, 3, 6), 2)),
              HasSubstr("6 micro-batches; want 4"));
  EXPECT_THAT(takeover_problem(plan, plan_1f1b(problem_of(2, 3, 4))), HasSubstr("moves stages"));
  Plan moved = plan;
  moved.paths[1].front().rank = 0;
  EXPECT_THAT(takeover_problem(plan, moved), HasSubstr("source of micro-batch 1"));
  Plan torn = plan;
  torn.operations[0].pop_back();
  EXPECT_THAT(takeover_problem(plan, torn), HasSubstr("no update"));
}

TEST(Replan, AFailingPlannerIsHeardOfAndLeavesThePlan) {
  const Plan plan = plan_skipping(problem_of(1, 2, 4), 2);
  Replanner replanner([](const Plan&, const WalkCosts&) -> Plan {
    throw core::Error(core::ErrorKind::kRecipe, "nothing better");
  });
  replanner.ask(plan, {});
  while (!replanner.ready()) std::this_thread::yield();
  EXPECT_EQ(replanner.take(), std::nullopt);
  EXPECT_EQ(replanner.problem(), "nothing better");
  EXPECT_FALSE(replanner.busy());
}

/// The longest paths first instead of the shortest way through: other paths on the same ranks.
Plan other_paths(const Plan& current, const WalkCosts& costs) {
  Walks walks;
  Paths paths;
  for (std::size_t m = 0; m < current.paths.size(); ++m) {
    auto& nodes = paths.emplace_back();
    const auto& path = current.paths[(m + 1) % current.paths.size()];
    for (std::size_t i = 0; i + 1 < path.size(); ++i) nodes.push_back(path[i].rank);
    nodes.front() = current.paths[m].front().rank;
  }
  std::vector<std::vector<int>> arrangement(static_cast<std::size_t>(current.stages - 1));
  for (int rank = 0; rank < current.ranks(); ++rank) {
    const auto stage = current.stages_of_rank[static_cast<std::size_t>(rank)].front();
    arrangement[static_cast<std::size_t>(stage)].push_back(rank);
  }
  return plan_from_walks("other paths", schedule_walks(arrangement, paths, costs), costs);
}

TEST(Replan, TakesOverOnAllRanksBetweenTheSameTwoSteps) {
  TinyJob job;
  job.options.parallel.dp = 2;
  job.options.parallel.pp = 4;
  job.options.pipeline.schedule = "skippipe";
  job.options.pipeline.skip_fraction = 0.25;
  job.options.pipeline.replan_share = 1e-9;  // any difference at all
  job.options.pipeline.patience_ms = 0;
  job.options.timeline_interval = 1;
  constexpr int kSteps = 60;
  std::mutex mutex;
  std::vector<std::string> notes;
  std::map<std::int64_t, std::set<std::tuple<std::size_t, int, int>>> done;  // per step
  std::map<std::int64_t, std::string> names;
  int asked = 0;
  std::vector<core::StepResult> results;
  test::on_ranks(8, [&](comm::Communicator& world) {
    auto parts = job.parts(world);
    parts.replan = [&](const Plan& current, const WalkCosts& measured) {
      const std::lock_guard lock(mutex);
      if (++asked > 1) throw core::Error(core::ErrorKind::kRecipe, "one is enough");
      return other_paths(current, measured);
    };
    parts.note = [&](const std::string& note) {
      const std::lock_guard lock(mutex);
      notes.push_back(note);
    };
    parts.timeline = [&](const metrics::StepTimeline& one) {
      const std::lock_guard lock(mutex);
      names[one.step] = one.plan;
      for (std::size_t rank = 0; rank < one.ranks.size(); ++rank) {
        for (const auto& op : one.ranks[rank].operations) {
          done[one.step].insert({rank, op.micro_batch, op.stage});
        }
      }
    };
    const auto trainer = make_trainer(job.options, std::move(parts));
    for (int n = 1; n <= kSteps; ++n) {
      const auto result = trainer->step(n);
      if (world.rank() == 0) results.push_back(result);
    }
  });
  ASSERT_GE(asked, 1);
  const auto taken = std::find_if(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("a new plan takes over") != std::string::npos;
  });
  ASSERT_NE(taken, notes.end()) << ::testing::PrintToString(notes);
  const std::int64_t from = std::stoll(taken->substr(taken->find("step ") + 5));
  EXPECT_EQ(done.at(from - 1), done.at(1));
  EXPECT_NE(done.at(from), done.at(1));
  EXPECT_EQ(done.at(from), done.at(kSteps));
  EXPECT_EQ(names.at(from - 1), "");
  EXPECT_EQ(names.at(from), "planned anew, from step " + std::to_string(from) + " on");
  EXPECT_LT(results.back().loss, results.front().loss - 0.2);
}

TEST(Timeline, HasEveryOperationOfEveryRankBesideItsPrediction) {
  TinyJob job;
  job.options.parallel.dp = 1;
  job.options.parallel.pp = 3;
  job.options.pipeline.schedule = "skippipe";
  job.options.timeline_interval = 6;
  std::vector<metrics::StepTimeline> lines;
  test::on_ranks(3, [&](comm::Communicator& world) {
    auto parts = job.parts(world);
    parts.timeline = [&](const metrics::StepTimeline& one) { lines.push_back(one); };
    const auto trainer = make_trainer(job.options, std::move(parts));
    for (int n = 1; n <= 6; ++n) trainer->step(n);
  });
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].step, 2);
  EXPECT_EQ(lines[1].step, 6);
  ASSERT_EQ(lines[1].ranks.size(), 3U);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    int computed = 0;
    double end = 0;
    for (const auto& op : lines[1].ranks[rank].operations) {
      EXPECT_LE(end, op.begin_s + 1e-9);  // one after the other
      EXPECT_LE(op.begin_s, op.end_s);
      end = op.end_s;
      if (op.name == "reduce") continue;
      EXPECT_EQ(op.name.substr(0, 4) == "loss", op.stage == 3);
      ++computed;
      EXPECT_GE(op.predicted_begin_s, 0);  // the pace of steps 2 to 4
      EXPECT_GT(op.predicted_end_s, op.predicted_begin_s);
      EXPECT_LT(lines[0].ranks[rank].operations[0].predicted_end_s, 0);  // nothing known yet
    }
    EXPECT_EQ(computed,
              rank == 0 ? 32 : 16);  // of 8 micro-batches; the source has their losses too
    EXPECT_GE(lines[1].ranks[rank].elapsed_s, end);
    const auto causes = metrics::idle_causes(lines[1].ranks[rank]);
    double whole = causes.busy_s + causes.other_s;
    for (const auto& cause : causes.causes) {
      whole += cause.seconds;
      EXPECT_TRUE(cause.rank >= 0 || cause.what == "reduce");
      EXPECT_NE(cause.rank, static_cast<int>(rank));
    }
    EXPECT_NEAR(whole, causes.elapsed_s, 1e-6 + 0.01 * causes.elapsed_s);
  }
}

}  // namespace
}  // namespace rw::pipeline
