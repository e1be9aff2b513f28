// Part of Ropewalk, MIT licence.
// Ranks and links as a file, as a problem, and as measured.
#include "pipeline/topology.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "core/error.h"
#include "pipeline/profile.h"
#include "planner/problem.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using core::Json;
using test::TinyJob;
using ::testing::EndsWith;
using ::testing::HasSubstr;

Json two_nodes() {
  return Json::parse(R"({"format": "ropewalk-topology/1",
    "nodes": [{"name": "a", "forward_s": [1, 3], "backward_input_s": [1, 3], "backward_weight_s": 2, "head_s": 0.5,
               "memory_micro_batches": 4},
              {"forward_s": 4, "memory_micro_batches": 2}],
    "latency_s": [[0, 0.25], [0.5, 0]],
    "bandwidth_bytes_per_s": [[0, 100], [200, 0]]})");
}

PathDemand demand() {
  PathDemand out;
  out.parallel.dp = 1;
  out.parallel.pp = 2;
  out.path_length = 2;
  out.micro_batches = 3;
  out.activation_bytes = 50;
  out.gradient_bytes = 1000;
  return out;
}

std::string complaint(const Json& json) {
  try {
    topology_from_json(json, "t.json");
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
    return error.what();
  }
  return "";
}

TEST(Topology, ReadsWhatIsGivenAndFillsInTheRest) {
  const Topology read = topology_from_json(two_nodes(), "t.json");
  ASSERT_EQ(read.nodes.size(), 2U);
  EXPECT_EQ(read.nodes[0].stages.size(), 2U);
  EXPECT_EQ(read.nodes[0].stages[1].forward, 3);
  EXPECT_EQ(read.nodes[0].stages[1].backward(), 5);
  EXPECT_EQ(read.nodes[1].name, "rank 1");
  EXPECT_EQ(read.nodes[1].stages[0].backward(), 8);
  EXPECT_EQ(read.nodes[1].head_s, 0);
  EXPECT_EQ(read.latency_s.at(1, 0), 0.5);
  EXPECT_EQ(read.bandwidth.at(0, 1), 100);
  EXPECT_EQ(to_json(topology_from_json(to_json(read), "again")), to_json(read));
}

TEST(Topology, SaysWhichFieldIsWrong) {
  const auto with = [](const char* pointer, const Json& value) {
    Json out = two_nodes();
    out[Json::json_pointer(pointer)] = value;
    return complaint(out);
  };
  EXPECT_EQ(complaint(two_nodes()), "");
  EXPECT_THAT(with("/format", "ropewalk-topology/2"), HasSubstr("t.json.format: got"));
  EXPECT_THAT(with("/nodes/1/forward_s", -1), HasSubstr("t.json.nodes[1].forward_s: got -1"));
  EXPECT_THAT(with("/nodes/0/forward_s/1", 0), HasSubstr("nodes[0].forward_s[1]: got 0"));
  EXPECT_THAT(with("/nodes/0/backward_input_s", Json::array({1})), HasSubstr("1 numbers"));
  EXPECT_THAT(with("/nodes/0/backward_input_s", Json::array({1, 2, 3})), HasSubstr("3 numbers"));
  EXPECT_THAT(with("/nodes/0/memory_micro_batches", 0), HasSubstr("memory_micro_batches: got 0"));
  EXPECT_THAT(with("/nodes", Json::array()), HasSubstr("want a list of ranks"));
  EXPECT_THAT(with("/latency_s/1", Json::array({1})), HasSubstr("latency_s[1]"));
  EXPECT_THAT(with("/latency_s/0/1", "x"), HasSubstr("latency_s[0][1]: got \"x\""));
  EXPECT_THAT(with("/bandwidth_bytes_per_s/0/1", 0), EndsWith("want a finite number > 0"));
  Json none = two_nodes();
  none["nodes"][0].erase("memory_micro_batches");
  EXPECT_THAT(complaint(none), HasSubstr("no `memory_micro_batches`"));
}

TEST(Topology, RefusesKeysThatNobodyReads) {
  Json extra = two_nodes();
  extra["extra"] = 1;
  EXPECT_THAT(complaint(extra), HasSubstr("t.json: `extra` is no key of a topology; want one of "
                                          "bandwidth_bytes_per_s, format, latency_s, nodes"));
  Json misspelt = two_nodes();
  misspelt["nodes"][1]["heads"] = 0.1;
  EXPECT_THAT(complaint(misspelt), HasSubstr("t.json.nodes[1]: `heads` is no key of a topology"));
  EXPECT_THAT(complaint(misspelt), HasSubstr("head_s, memory_micro_batches"));
  misspelt = two_nodes();
  misspelt["nodes"][0]["backward_wieght_s"] = 2;
  EXPECT_THAT(complaint(misspelt), HasSubstr("t.json.nodes[0]: `backward_wieght_s`"));
  Json named = two_nodes();
  named["nodes"][0]["name"] = 5;
  EXPECT_THAT(complaint(named), HasSubstr("t.json.nodes[0].name: got 5, want text"));
}

/// What making a problem of `json` complains about.
std::string refusal(const Json& json, const PathDemand& of) {
  try {
    problem_on(topology_from_json(json, "t.json"), of);
  } catch (const core::Error& error) {
    return error.what();
  }
  return "";
}

TEST(Topology, ListsHaveOneNumberPerStage) {
  EXPECT_EQ(refusal(two_nodes(), demand()), "");
  for (const int count : {1, 3}) {
    Json json = two_nodes();
    json["nodes"][1]["forward_s"] = std::vector<double>(static_cast<std::size_t>(count), 4.0);
    EXPECT_THAT(refusal(json, demand()),
                HasSubstr(fmt::format("t.json.nodes[1].forward_s: got {} numbers, want one per "
                                      "stage (2, parallel.pp)",
                                      count)));
  }
  Json halves = two_nodes();  // a forward for all stages, one backward each
  halves["nodes"][1]["backward_input_s"] = {1, 2};
  EXPECT_EQ(refusal(halves, demand()), "");
  EXPECT_EQ(topology_from_json(halves, "t.json").nodes[1].stages[1].backward_input, 2);
  halves["nodes"][1]["backward_input_s"] = {1, 2, 3};
  EXPECT_THAT(refusal(halves, demand()), HasSubstr("nodes[1].backward_input_s: got 3 numbers"));
  PathDemand more = demand();
  more.parallel.dp = 2;
  EXPECT_THAT(refusal(two_nodes(), more), HasSubstr("t.json: got 2 nodes, want 4"));
}

TEST(Topology, MakesAProblemThatThePlannerReads) {
  const Topology read = topology_from_json(two_nodes(), "t.json");
  const planner::Problem problem =
      planner::problem_from_json(problem_on(read, demand()), "problem");
  EXPECT_EQ(problem.nodes[0].forward_s, 2);  // mean of its stages
  EXPECT_EQ(problem.nodes[1].memory, 2);
  EXPECT_DOUBLE_EQ(problem.backward_factor, (4.0 + 8.0) / 6);
  EXPECT_DOUBLE_EQ(problem.loss_factor, 0.5 / 6);
  EXPECT_DOUBLE_EQ(problem.transfer_s.at(0, 1), 0.25 + 0.5);
  EXPECT_DOUBLE_EQ(problem.transfer_s.at(1, 0), 0.5 + 0.25);
  EXPECT_EQ(problem.stage_sizes, (planner::List<int>{1, 1}));
  EXPECT_EQ(problem.micro_batches(), 3);
  EXPECT_EQ(problem.rules.stage_quota, 3);
  EXPECT_EQ(problem.objective, planner::Objective::kIteration);
  PathDemand more = demand();
  more.parallel.dp = 2;
  EXPECT_THROW(problem_on(read, more), core::Error);
}

TEST(Topology, MemoryIsNoMoreThanAnIterationCanUse) {
  Json json = two_nodes();
  for (Json& node : json["nodes"]) node["forward_s"] = 1;
  for (const char* key : {"backward_input_s", "backward_weight_s"}) json["nodes"][0].erase(key);
  json["nodes"] = {json["nodes"][0], json["nodes"][0], json["nodes"][0], json["nodes"][1]};
  for (std::size_t i = 0; i < 3; ++i) json["nodes"][i]["memory_micro_batches"] = 1459 + i;
  json["latency_s"] = std::vector<std::vector<double>>(4, std::vector<double>(4, 0.1));
  json["bandwidth_bytes_per_s"] = std::vector<std::vector<double>>(4, std::vector<double>(4, 10));
  PathDemand of = demand();
  of.parallel.dp = 2;
  of.micro_batches = 8;
  const Topology read = topology_from_json(json, "t.json");
  const auto memories = [&] {
    std::vector<int> out;
    const auto problem = planner::problem_from_json(problem_on(read, of), "problem");
    for (const auto& node : problem.nodes) out.push_back(node.memory);
    EXPECT_EQ(planner::strict_refusal(problem).empty(), of.strict);
    return out;
  };
  EXPECT_EQ(memories(), (std::vector<int>{8, 8, 8, 2}));  // a node may hold those of both sources
  of.strict = true;
  EXPECT_EQ(memories(), (std::vector<int>{4, 4, 4, 2}));
}

TEST(Profile, MeasuresEveryRankAndPairAlikeOnAllRanks) {
  TinyJob job;
  job.options.parallel.dp = 2;
  job.options.parallel.pp = 2;
  std::mutex mutex;
  std::vector<Json> seen;
  test::on_ranks(4, [&](comm::Communicator& world) {
    ProfileOptions how;
    how.repeats = 2;
    how.memory_bytes = 1e9;
    const Json mine = to_json(measure_topology(job.options, how, world));
    const std::lock_guard<std::mutex> lock(mutex);
    seen.push_back(mine);
  });
  ASSERT_EQ(seen.size(), 4U);
  for (const Json& one : seen) EXPECT_EQ(one, seen.front());
  const Topology topology = topology_from_json(seen.front(), "measured");  // all of it > 0
  ASSERT_EQ(topology.nodes.size(), 4U);
  for (const TopologyNode& node : topology.nodes) {
    EXPECT_EQ(node.stages.size(), 2U);
    EXPECT_GT(node.head_s, 0);
    EXPECT_GT(node.memory_micro_batches, 10);
  }
}

}  // namespace
}  // namespace rw::pipeline
