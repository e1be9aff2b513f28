// Part of Ropewalk, MIT licence.
#include "pipeline/walks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "pipeline/plan_check.h"
#include "pipeline/planners.h"
#include "pipeline/simulate.h"
#include "pipeline/walk_chooser.h"
#include "random_plans.h"

namespace rw::pipeline {
namespace {

using test::pick;
using ::testing::HasSubstr;

struct Case {
  std::vector<std::vector<int>> arrangement;
  Paths paths;
  WalkCosts costs;
};

/// Nodes dealt to stages at random, rising paths of one length, costs of any size.
Case random_case(std::mt19937& random) {
  Case out;
  const int stages = 2 + pick(random, 4);
  const int nodes = stages + pick(random, 6);
  out.arrangement.resize(static_cast<std::size_t>(stages));
  std::vector<int> all;
  for (int i = 0; i < nodes; ++i) all.push_back(i);
  std::shuffle(all.begin(), all.end(), random);
  for (int i = 0; i < nodes; ++i) {
    const int stage = i < stages ? i : pick(random, stages);
    out.arrangement[static_cast<std::size_t>(stage)].push_back(all[static_cast<std::size_t>(i)]);
  }
  const int length = 1 + pick(random, stages);
  const auto any = [&](int stage) {
    const auto& group = out.arrangement[static_cast<std::size_t>(stage)];
    return group[static_cast<std::size_t>(pick(random, static_cast<int>(group.size())))];
  };
  for (int m = 0; m < 1 + pick(random, 9); ++m) {
    std::vector<int> others;
    for (int stage = 1; stage < stages; ++stage) others.push_back(stage);
    std::shuffle(others.begin(), others.end(), random);
    others.resize(static_cast<std::size_t>(length - 1));
    std::sort(others.begin(), others.end());
    auto& path = out.paths.emplace_back(std::vector<int>{any(0)});
    for (const int stage : others) path.push_back(any(stage));
  }
  const auto number = [&](double most) { return most * (1 + pick(random, 1000)) / 1000; };
  for (int i = 0; i < nodes; ++i) {
    out.costs.forward_s.push_back(number(2));
    out.costs.memory.push_back(1 + pick(random, 3));
    auto& row = out.costs.transfer_s.emplace_back();
    for (int j = 0; j < nodes; ++j) row.push_back(i == j ? 0 : number(1));
  }
  out.costs.loss_factor = pick(random, 2) * 0.25;
  return out;
}

/// When each operation of the plan could run if the ranks kept its order: recomputed by simulate().
Timeline simulated(const Plan& plan, const WalkCosts& costs) {
  CostFunctions functions;
  functions.operation = [&](int rank, const Operation& op) {
    const double forward = costs.forward_s[static_cast<std::size_t>(rank)];
    const bool head = op.stage + 1 == plan.stages;
    if (op.kind == OpKind::kForward) return head ? forward * costs.loss_factor * 2 / 3 : forward;
    if (op.kind != OpKind::kBackward) return 0.0;
    return forward * (head ? costs.loss_factor / 3 : costs.backward_factor);
  };
  functions.transfer = [&](int from, int to) {
    return costs.transfer_s[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  };
  return simulate(plan, functions);
}

TEST(Walks, GiveSoundPlansThatKeepTheirTimes) {
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    const Case one = random_case(random);
    const Walks walks = schedule_walks(one.arrangement, one.paths, one.costs);
    const Plan plan = plan_from_walks("walks", walks, one.costs);
    ASSERT_EQ(plan_problem(plan), "") << i;
    const Timeline line = simulated(plan, one.costs);
    double planned = 0;
    for (std::size_t rank = 0; rank < plan.operations.size(); ++rank) {
      for (std::size_t k = 0; k < plan.operations[rank].size(); ++k) {
        const Operation& op = plan.operations[rank][k];
        if (op.kind != OpKind::kForward && op.kind != OpKind::kBackward) continue;
        planned = std::max(planned, plan.predicted[rank][k].end);
        ASSERT_LE(line.spans[rank][k].end, plan.predicted[rank][k].end + 1e-9)
            << i << " rank " << rank << " " << op.text();
      }
    }
    // List scheduling starts everything as early as its order allows.
    ASSERT_NEAR(line.makespan, planned, 1e-9) << i;
  }
}

TEST(Walks, TheSourceHoldsTheHeadAndTheLossStandsBetweenThePasses) {
  Problem problem;
  problem.dp = 1;
  problem.pp = 3;
  problem.micro_batches = 2;
  const Plan plan = plan_skipping(problem, 2);
  EXPECT_EQ(plan.stages, 4);
  EXPECT_TRUE(plan.head_alone);
  EXPECT_EQ(plan.stages_of_rank[0], (std::vector<int>{0, 3}));
  EXPECT_EQ(plan.paths[0], (std::vector<Visit>{{0, 0}, {1, 1}, {3, 0}}));
  EXPECT_EQ(plan.paths[1], (std::vector<Visit>{{0, 0}, {2, 2}, {3, 0}}));
  std::vector<std::string> of_first;
  for (const Operation& op : plan.operations[0]) {
    if (op.micro_batch == 0 && !op.sends() && !op.receives()) of_first.push_back(op.text());
  }
  EXPECT_EQ(of_first,
            (std::vector<std::string>{
                "forward of micro-batch 0, stage 0", "forward of micro-batch 0, stage 3",
                "backward of micro-batch 0, stage 3", "backward of micro-batch 0, stage 0"}));
}

TEST(Walks, InEnoughTurnsEveryMicroBatchVisitsEveryStage) {
  Problem problem;
  problem.dp = 2;
  problem.pp = 6;
  problem.micro_batches = 6;
  for (const int length : {2, 3, 4, 6}) {
    const int turns = (5 + length - 2) / (length - 1);
    std::vector<std::set<int>> seen(6);
    for (int turn = 0; turn < turns; ++turn) {
      const auto paths = choose_paths(problem, length, turn);
      for (std::size_t m = 0; m < paths.size(); ++m) {
        EXPECT_EQ(paths[m].front(), choose_paths(problem, length)[m].front());
        for (const int node : paths[m]) seen[m].insert(node % 6);
      }
    }
    for (const auto& stages : seen) EXPECT_EQ(stages.size(), 6U) << length;
  }
}

TEST(Walks, PathsInTurnVisitAllStagesEquallyOften) {
  for (const int length : {2, 3, 4, 6}) {
    Problem problem;
    problem.dp = 2;
    problem.pp = 6;
    problem.micro_batches = 20;
    std::map<int, int> visits;
    for (const auto& path : choose_paths(problem, length)) {
      ASSERT_EQ(static_cast<int>(path.size()), length);
      for (std::size_t i = 1; i < path.size(); ++i) {
        EXPECT_LT(path[i - 1] % 6, path[i] % 6);
        ++visits[path[i]];
      }
    }
    int least = 1000;
    int most = 0;
    for (int rank = 0; rank < 12; ++rank) {
      if (rank % 6 == 0) continue;
      least = std::min(least, visits[rank]);
      most = std::max(most, visits[rank]);
    }
    EXPECT_LE(most - least, 1) << length;
  }
}

TEST(Walks, SkipFractionIsTheShareOfAllStages) {
  EXPECT_EQ(kept_stages(4, 0.25), 3);
  EXPECT_EQ(kept_stages(6, 0.33), 4);
  EXPECT_EQ(kept_stages(6, 0.5), 3);
  EXPECT_EQ(kept_stages(8, 0), 8);
  EXPECT_EQ(kept_stages(1, 0), 1);
  EXPECT_EQ(kept_stages(4, 0.3), std::nullopt);
  EXPECT_EQ(kept_stages(4, 0.75), std::nullopt);
  EXPECT_EQ(kept_stages(2, 0.5), std::nullopt);
}

std::string refusal(const Walks& walks, const WalkCosts& costs) {
  try {
    plan_from_walks("walks", walks, costs);
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
    return error.what();
  }
  return "accepted";
}

TEST(Walks, WhatFitsNotIsNamed) {
  WalkCosts costs;
  costs.forward_s = {1, 1};
  costs.memory = {1, 1};
  costs.transfer_s = {{0, 1}, {1, 0}};
  const Walks good{{{0}, {1}}, {{{0, 1}, {0, 2, 4, 4, 7}}}};
  EXPECT_EQ(refusal(good, costs), "accepted");
  Walks bad = good;
  bad.arrangement = {{0}, {0}};
  EXPECT_THAT(refusal(bad, costs), HasSubstr("arrangement, stage 1: got node 0"));
  bad = good;
  bad.arrangement = {{0}};
  EXPECT_THAT(refusal(bad, costs), HasSubstr("node 1 has no stage"));
  bad = good;
  bad.micro_batches[0].nodes = {1, 0};
  EXPECT_THAT(refusal(bad, costs), HasSubstr("want it to begin at a node of stage 0"));
  bad = good;
  bad.micro_batches[0].starts.pop_back();
  EXPECT_THAT(refusal(bad, costs), HasSubstr("got 4 starts for 2 nodes; want 5"));
  bad = good;
  bad.micro_batches[0].starts[1] = std::nan("");
  EXPECT_THAT(refusal(bad, costs), HasSubstr("start nan of operation 1"));
  bad = good;  // two micro-batches at once where there is memory for one
  bad.micro_batches.push_back({{0, 1}, {1, 3, 5, 5.5, 9}});
  EXPECT_THAT(refusal(bad, costs), HasSubstr("memory"));
}

template <class Call>
std::string refusal_of(const Call& call) {
  try {
    call();
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
    return error.what();
  }
  return "accepted";
}

TEST(Walks, WeightGradientsHaveTurnsOfTheirOwn) {
  const auto problem = core::Json::parse(R"({"nodes": [
      {"forward_s": 1, "memory_micro_batches": 2}, {"forward_s": 2, "memory_micro_batches": 1}],
      "split_backward": {"input_factor": 1, "weight_factor": 0.5}, "loss_factor": 0.25,
      "transfer_s": [[0, 0.5], [0.25, 0]]})");
  // Node 1: F 1.5-3.5, B 4.5-6.5, W 6.5-7.5; the source: loss 3.75-4, B 6.75-7.75, W 8-8.5.
  const auto solution = core::Json::parse(R"({"arrangement": [[0], [1]], "micro_batches":
      [{"path": [0, 1], "starts": [0, 1.5, 3.75, 4.5, 6.75], "weight_starts": [8, 6.5]}]})");
  const auto costs = walk_costs_from_problem(problem, "p.json");
  const auto walks = walks_from_solution(solution, "s.json");
  const auto plan = plan_from_walks("skippipe", walks, costs);
  std::map<std::string, Span> spans;
  for (std::size_t rank = 0; rank < 2; ++rank) {
    for (std::size_t i = 0; i < plan.operations[rank].size(); ++i) {
      spans[plan.operations[rank][i].text()] = plan.predicted[rank][i];
    }
  }
  EXPECT_EQ(spans.at("backward_input of micro-batch 0, stage 1"), (Span{4.5, 6.5}));
  EXPECT_EQ(spans.at("backward_weight of micro-batch 0, stage 1"), (Span{6.5, 7.5}));
  EXPECT_EQ(spans.at("backward_input of micro-batch 0, stage 0"), (Span{6.75, 7.75}));
  EXPECT_EQ(spans.at("backward_weight of micro-batch 0, stage 0"), (Span{8, 8.5}));
  // The gradient leaves when the input's is there, not the weight's.
  for (std::size_t i = 0; i < plan.operations[1].size(); ++i) {
    if (plan.operations[1][i].kind != OpKind::kSendGradient) continue;
    EXPECT_EQ(plan.predicted[1][i], (Span{6.5, 6.75}));
  }
  Walks early = walks;
  early.micro_batches[0].weight_starts[1] = 6;
  EXPECT_THAT(refusal(early, costs), HasSubstr("weight gradient 1; want 6.5 or later"));
  early.micro_batches[0].weight_starts = {8};
  EXPECT_THAT(refusal(early, costs), HasSubstr("got 1 weight_starts for 2 nodes"));
}

TEST(Walks, ReadFromAProblemAndItsSolution) {
  const auto problem = core::Json::parse(R"({"nodes": [
      {"name": "a", "forward_s": 1, "memory_micro_batches": 2},
      {"name": "b", "forward_s": 2, "memory_micro_batches": 1}],
      "backward_factor": 1.5, "loss_factor": 0.25, "transfer_s": [[0, 0.5], [0.25, 0]]})");
  const auto solution = core::Json::parse(R"({"arrangement": [[0], [1]],
      "micro_batches": [{"path": [0, 1], "starts": [0, 1.5, 3.75, 4.5, 7.75]}]})");
  const auto costs = walk_costs_from_problem(problem, "p.json");
  const auto plan = plan_from_walks("skippipe", walks_from_solution(solution, "s.json"), costs);
  EXPECT_EQ(plan.live_bound, (std::vector<int>{3, 1}));
  const auto& list = plan.operations[1];
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].kind == OpKind::kBackward) {
      EXPECT_EQ(plan.predicted[1][i], (Span{4.5, 7.5}));
    }
    if (list[i].kind == OpKind::kReceiveActivation) {
      EXPECT_EQ(plan.predicted[1][i], (Span{1, 1.5}));
    }
  }
  EXPECT_EQ(plan_from_json(to_json(plan), "there and back"), plan);
  auto elsewhere = problem;
  elsewhere["loss_at"] = "last";
  const auto last = plan_from_walks("skippipe", walks_from_solution(solution, "s.json"),
                                    walk_costs_from_problem(elsewhere, "p.json"));
  EXPECT_EQ(last.paths[0], (std::vector<Visit>{{0, 0}, {1, 1}, {2, 1}}));
  EXPECT_EQ(last.stages_of_rank, (std::vector<std::vector<int>>{{0}, {1, 2}}));
  EXPECT_EQ(last.live_bound, (std::vector<int>{2, 2}));
  auto turns = solution;
  turns["rotations"] = {solution};
  turns["rotations"][0]["micro_batches"][0]["starts"][0] = 0.125;
  turns["full"] = solution;
  const auto all = turns_from_solution(turns, "s.json");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].micro_batches[0].starts[0], 0.125);
  EXPECT_EQ(all[2].arrangement, all[0].arrangement);
  const auto cycle = plans_from_solution(turns, costs, 5, "s.json");
  EXPECT_EQ(cycle.plans.size(), 3U);
  EXPECT_EQ(cycle.plans.front(), plan);
  EXPECT_EQ(cycle.full_every, 5);
  turns["full"] = core::Json::object();
  EXPECT_THROW(turns_from_solution(turns, "s.json"), core::Error);
  const auto refused = [&](const char* pointer, const core::Json& value, const char* what) {
    auto torn = problem;
    torn[core::Json::json_pointer(pointer)] = value;
    try {
      walk_costs_from_problem(torn, "p.json");
      ADD_FAILURE() << "accepted: " << what;
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kDataMalformed);
      EXPECT_THAT(error.what(), HasSubstr(what));
    }
  };
  refused("/transfer_s", nullptr, "p.json.transfer_s: got null");
  refused("/transfer_s/1", {0.25}, "p.json.transfer_s[1]: got 1 entries");
  refused("/nodes/0/forward_s", -1, "p.json.nodes[0].forward_s: got -1");
  refused("/nodes/1/memory_micro_batches", 0, "p.json.nodes[1].memory_micro_batches: got 0");
}

}  // namespace
}  // namespace rw::pipeline
