// Part of Ropewalk, MIT licence.
#include "planner/problem.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"

namespace rw::planner {
namespace {

using core::Json;

/// Four nodes in three stages, one source of two micro-batches.
Json whole_problem() {
  return Json::parse(R"({
    "format": "ropewalk-problem/1", "name": "p",
    "nodes": [{"name": "a", "site": "x", "forward_s": 1, "memory_micro_batches": 2},
              {"forward_s": 1, "memory_micro_batches": 2},
              {"forward_s": 2, "memory_micro_batches": 2},
              {"forward_s": 1, "memory_micro_batches": 2}],
    "transfer_s": [[0, 1, 2, 3], [4, 0, 5, 6], [7, 8, 0, 9], [10, 11, 12, 0]],
    "backward_factor": 1.5, "loss_factor": 0.25, "gap_s": 0.1, "gap_first_forward_s": 0.05,
    "stage_sizes": [1, 2, 1], "path_length": 2, "micro_batches_per_source": 2,
    "rules": {"max_swaps": 1, "max_jump": 2, "stage_quota": 1},
    "reduce": {"latency_s": [[0, 1, 2, 3], [1, 0, 4, 5], [2, 6, 0, 7], [3, 5, 7, 0]],
               "bandwidth_bytes_per_s": [[0, 1, 1, 1], [1, 0, 10, 1], [1, 5, 0, 1], [1, 1, 1, 0]],
               "gradient_bytes": 100, "max_reduce_s": 33},
    "arrangement": [[0], [1, 2], [3]],
    "reference": {"anything": 1}})");
}

std::string refusal(const std::function<void(Json&)>& change) {
  Json json = whole_problem();
  change(json);
  try {
    problem_from_json(json, "p.json");
  } catch (const core::Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    return error.what();
  }
  return "";
}

TEST(Problem, IsReadAsItStands) {
  const Problem p = problem_from_json(whole_problem(), "p.json");
  EXPECT_EQ(p.nodes[0].name, "a");
  EXPECT_EQ(p.nodes[2].forward_s, 2);
  EXPECT_EQ(p.transfer_s.at(1, 3), 6);
  EXPECT_EQ(p.transfer_s.at(3, 1), 11);
  EXPECT_EQ(p.micro_batches(), 2);
  EXPECT_EQ(p.operations_per_path(), 5);
  EXPECT_EQ(p.rules.max_swaps, 1);
  EXPECT_EQ(p.arrangement[1][1], 2);
  EXPECT_EQ(p.objective, Objective::kMakespan);
}

TEST(Problem, ExtensionsAreReadAsTheyStand) {
  const Problem plain = problem_from_json(whole_problem(), "p.json");
  EXPECT_FALSE(plain.weight_factor.has_value());
  EXPECT_EQ(plain.contention, Contention::kNone);
  EXPECT_EQ(plain.full_every + plain.rotation, 0);
  Json json = whole_problem();
  json.erase("backward_factor");
  json["split_backward"] = {{"input_factor", 0.75}, {"weight_factor", 0.5}};
  json["contention"] = "fair";
  json["full_every"] = 10;
  json["rotation"] = 2;
  const Problem p = problem_from_json(json, "p.json");
  EXPECT_EQ(p.backward_factor, 0.75);
  EXPECT_EQ(p.weight_factor, 0.5);
  EXPECT_EQ(p.contention, Contention::kFair);
  EXPECT_EQ(p.full_every, 10);
  EXPECT_EQ(p.rotation, 2);
}

TEST(Problem, ReductionIsTheSlowestMembersSum) {
  const Problem p = problem_from_json(whole_problem(), "p.json");
  // 1 to 2: 2 (4 + 100 / (2 * 10)) = 18; 2 to 1: 2 (6 + 100 / (2 * 5)) = 32.
  EXPECT_DOUBLE_EQ(reduction_s(p.reduction, {1, 2}), 32);
  EXPECT_DOUBLE_EQ(reduction_s(p.reduction, {3}), 0);
}

TEST(Problem, NonsenseIsRefusedByName) {
  const std::pair<std::function<void(Json&)>, const char*> cases[] = {
      {[](Json& j) { j["format"] = "other/1"; }, "format"},
      {[](Json& j) { j["nodes"][1]["forward_s"] = -1; }, "nodes[1].forward_s"},
      {[](Json& j) { j["nodes"][1]["forward_s"] = 0; }, "nodes[1].forward_s"},
      {[](Json& j) { j["nodes"][3]["memory_micro_batches"] = 0; }, "nodes[3].memory_micro_batches"},
      {[](Json& j) { j["nodes"][3]["memory_micro_batches"] = 1.5; },
       "nodes[3].memory_micro_batches"},
      {[](Json& j) { j["nodes"][0].erase("forward_s"); }, "forward_s"},
      {[](Json& j) { j["transfer_s"][0][3] = -0.5; }, "transfer_s[0][3]"},
      {[](Json& j) { j["transfer_s"][0].erase(0); }, "transfer_s[0]"},
      {[](Json& j) { j["transfer_s"][0][1] = "fast"; }, "transfer_s[0][1]"},
      {[](Json& j) { j["backward_factor"] = -1; }, "backward_factor"},
      {[](Json& j) { j["gap_s"] = nullptr; }, "gap_s"},
      {[](Json& j) { j["gap_s"] = 1e300; },
       "gap_s: got 1e+300, want a finite number >= 0, at most 1e+06"},
      {[](Json& j) { j["loss_factor"] = 1e9; }, "loss_factor"},
      {[](Json& j) {
         j["stage_sizes"] = {1, 1, 1};
       },
       "stage_sizes"},
      {[](Json& j) {
         j["stage_sizes"] = {1, 3, 0};
       },
       "stage_sizes[2]"},
      {[](Json& j) { j["path_length"] = 4; }, "path_length"},
      {[](Json& j) { j["micro_batches_per_source"] = 0; }, "micro_batches_per_source"},
      {[](Json& j) { j["micro_batches_per_source"] = 3; }, "stage_quota"},
      {[](Json& j) { j["rules"]["stage_quota"] = 0; }, "stage_quota"},
      {[](Json& j) { j["rules"]["max_jump"] = 1; }, "max_jump"},
      {[](Json& j) { j["rules"].erase("max_swaps"); }, "max_swaps"},
      {[](Json& j) { j["reduce"]["max_reduce_s"] = 31; }, "max_reduce_s"},
      {[](Json& j) { j["reduce"]["bandwidth_bytes_per_s"][1][2] = 0; },
       "reduce.bandwidth_bytes_per_s[1][2]"},
      {[](Json& j) { j["objective"] = "speed"; }, "objective"},
      {[](Json& j) {
         j["arrangement"] = {{0}, {1, 1}, {3}};
       },
       "arrangement[1][1]"},
      {[](Json& j) {
         j["arrangement"] = {{0}, {1}, {2, 3}};
       },
       "arrangement[1]"},
      {[](Json& j) { j["loss_at"] = "first"; }, "loss_at"},
      {[](Json& j) { j["split_backward"] = true; }, "split_backward: got true, want an object"},
      {[](Json& j) { j["rules"]["stage_qota"] = 1; }, "(did you mean `stage_quota`?)"},
      {[](Json& j) {
         j["split_backward"] = {{"input_factor", 1}};
       },
       "weight_factor"},
      {[](Json& j) {
         j["split_backward"] = {{"input_factor", 1}, {"weight_factor", -1}};
       },
       "split_backward.weight_factor"},
      {[](Json& j) {
         j["split_backward"] = {{"input_factor", 1}, {"weight_factor", 1}, {"other", 1}};
       },
       "`other`"},
      {[](Json& j) { j.erase("backward_factor"); }, "backward_factor"},
      {[](Json& j) { j["contention"] = "some"; }, "contention"},
      {[](Json& j) { j["full_every"] = 0; }, "full_every"},
      {[](Json& j) { j["full_every"] = 1.5; }, "full_every"},
      {[](Json& j) { j["rotation"] = 0; }, "rotation"},
      {[](Json& j) {
         j["path_length"] = 1;
         j["rotation"] = 5;
       },
       "rotation: in 5 iterations a source makes 0 visits"},
      {[](Json& j) {
         j["stage_sizes"] = {2, 1, 1};
         j["arrangement"] = {{0, 1}, {2}, {3}};
         j["micro_batches_per_source"] = 1;
         j["rotation"] = 1;
       },
       "rotation: in 1 iterations"},
      {[](Json& j) { j["arrangment"] = j["arrangement"]; }, "arrangment"},
  };
  for (const auto& [change, name] : cases) {
    const std::string message = refusal(change);
    EXPECT_NE(message.find(name), std::string::npos) << name << ": " << message;
    EXPECT_EQ(message.rfind("p.json", 0), 0U) << message;
  }
  EXPECT_EQ(refusal([](Json&) {}), "");
}

TEST(Problem, StrictTrackNeedsEqualSlotsAndWholeWaves) {
  Json json = whole_problem();
  json["rules"]["stage_quota"] = 9;
  EXPECT_EQ(strict_refusal(problem_from_json(json, "p")), "");
  json["micro_batches_per_source"] = 3;
  EXPECT_NE(strict_refusal(problem_from_json(json, "p")).find("micro_batches_per_source"),
            std::string::npos);
  json["micro_batches_per_source"] = 2;
  json["nodes"][0]["memory_micro_batches"] = 3;
  EXPECT_NE(strict_refusal(problem_from_json(json, "p")).find("memory_micro_batches"),
            std::string::npos);
}

TEST(Problem, PathsThatTheRulesAllow) {
  const PathRules rules{.max_swaps = 1, .max_jump = 2, .stage_quota = 9};
  const auto allowed = [&](std::vector<int> stages) {
    return path_allowed(rules, stages.data(), static_cast<int>(stages.size()));
  };
  EXPECT_TRUE(allowed({0, 1, 3}));
  EXPECT_TRUE(allowed({0, 2, 1, 3}));      // back to 2 - 1, then 3 - 2 ahead
  EXPECT_TRUE(allowed({0, 2, 1, 4}));      // the jump counts from the furthest
  EXPECT_FALSE(allowed({0, 3}));           // too far
  EXPECT_FALSE(allowed({0, 2, 3, 1}));     // two back
  EXPECT_FALSE(allowed({0, 2, 1, 4, 3}));  // a second swap
  EXPECT_FALSE(allowed({0, 1, 1}));
  EXPECT_FALSE(allowed({0, 1, 0}));
}

}  // namespace
}  // namespace rw::planner
