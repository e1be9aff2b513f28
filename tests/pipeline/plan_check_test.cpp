// Part of Ropewalk, MIT licence.
#include "pipeline/plan_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "core/error.h"
#include "pipeline/simulate.h"
#include "random_plans.h"
#include "support/sanitized.h"

namespace rw::pipeline {
namespace {

using test::pick;
using test::random_plan;
using test::RandomShape;
using ::testing::HasSubstr;

constexpr int kPlans = rw::test::sanitized_or(500, 4000);

RandomShape random_shape(std::mt19937& random) {
  RandomShape out;
  out.ranks = 1 + pick(random, 4);
  out.stages = 1 + pick(random, 5);
  out.micro_batches = 1 + pick(random, 4);
  out.skip = pick(random, 2) == 0;
  return out;
}

/// Runs the lists by brute force: every rank takes its next operation whenever that can go through
/// with the channels as plan.h describes them. True when all come to their end.
bool runs_to_its_end(const Plan& plan) {
  struct Rank {
    std::size_t next = 0;
    std::vector<std::size_t> receives;           // indices, in order
    std::size_t received = 0;                    // receives that are through
    bool queued = false;                         // the send at `next` is under way, or through
    std::vector<std::pair<int, int>> under_way;  // sends: (peer, tag), oldest first
  };
  std::vector<Rank> ranks(plan.operations.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    for (std::size_t i = 0; i < plan.operations[r].size(); ++i) {
      if (plan.operations[r][i].receives()) ranks[r].receives.push_back(i);
    }
  }
  std::set<std::tuple<int, int, int>> arrived;  // (from, to, tag)
  const auto posted = [&](int to, int from, int tag) {
    const auto at = static_cast<std::size_t>(to);
    const auto most = ranks[at].received + static_cast<std::size_t>(plan.channels.receive_buffers);
    for (std::size_t k = 0; k < std::min(most, ranks[at].receives.size()); ++k) {
      const Operation& op = plan.operations[at][ranks[at].receives[k]];
      if (op.peer == from && op.tag == tag) return true;
    }
    return false;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      Rank& rank = ranks[r];
      const int me = static_cast<int>(r);
      for (const auto& [to, tag] : rank.under_way) {
        if (posted(to, me, tag)) moved = arrived.emplace(me, to, tag).second || moved;
      }
      while (!rank.under_way.empty() &&
             arrived.contains({me, rank.under_way[0].first, rank.under_way[0].second})) {
        rank.under_way.erase(rank.under_way.begin());
        moved = true;
      }
      if (rank.next == plan.operations[r].size()) continue;
      const Operation& op = plan.operations[r][rank.next];
      if (op.receives()) {
        if (!arrived.contains({op.peer, me, op.tag})) continue;
        ++rank.received;
      } else if (op.sends()) {
        if (!rank.queued) {
          rank.under_way.emplace_back(op.peer, op.tag);
          rank.queued = true;
          moved = true;
          continue;
        }
        if (rank.under_way.size() > static_cast<std::size_t>(plan.channels.send_buffers)) continue;
      }
      ++rank.next;
      rank.queued = false;
      moved = true;
    }
  }
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r].next < plan.operations[r].size()) return false;
  }
  return true;
}

TEST(PlanCheck, RandomSoundPlansPassAndRun) {
  std::mt19937 random(1);
  for (int i = 0; i < kPlans; ++i) {
    const Plan plan = random_plan(random_shape(random), random);
    ASSERT_EQ(plan_problem(plan), "") << to_json(plan).dump();
    ASSERT_GE(simulate(plan, even_costs(plan.stages, 1, 1, 1)).makespan, 0) << i;
  }
}

/// One thing about a sound plan is broken; says what.
std::string break_plan(Plan& plan, std::mt19937& random) {
  auto& list = plan.operations[static_cast<std::size_t>(pick(random, plan.ranks()))];
  if (list.empty()) return "";
  const auto at = static_cast<std::size_t>(pick(random, static_cast<int>(list.size())));
  Operation& op = list[at];
  switch (pick(random, 8)) {
    case 0:
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(at));
      return "an operation is missing";
    case 1:
      list.insert(list.begin() + static_cast<std::ptrdiff_t>(at), Operation(op));
      return "an operation is there twice";
    case 2:
      if (op.micro_batch < 0) return "";
      op.micro_batch = plan.micro_batches() + pick(random, 3);
      return "a micro-batch that does not exist";
    case 3:
      if (!op.sends() && !op.receives()) return "";
      op.tag += 1 + pick(random, 5);
      return "a message with another tag";
    case 4:
      if (!op.sends() && !op.receives()) return "";
      op.peer = plan.ranks() + pick(random, 2);
      return "a message to a rank that does not exist";
    case 5:
      if (list.size() < 2) return "";
      std::rotate(list.begin(), list.end() - 1, list.end());
      return "the update comes first";
    case 6:
      op.stage = plan.stages + 1;
      return op.kind == OpKind::kUpdate ? "" : "a stage that does not exist";
    default:
      for (int& bound : plan.live_bound) bound -= 1;
      return "a memory bound that does not hold";
  }
}

TEST(PlanCheck, RandomBrokenPlansAreRefused) {
  std::mt19937 random(2);
  int broken = 0;
  while (broken < kPlans) {
    Plan plan = random_plan(random_shape(random), random);
    const std::string what = break_plan(plan, random);
    if (what.empty()) continue;
    ++broken;
    ASSERT_NE(plan_problem(plan), "") << what << ": " << to_json(plan).dump();
  }
}

TEST(PlanCheck, DeadlocksAreFoundAsBruteForceFindsThem) {
  std::mt19937 random(3);
  int deadlocks = 0;
  for (int i = 0; i < kPlans; ++i) {
    RandomShape shape = random_shape(random);
    shape.ranks = 2 + pick(random, 3);
    Plan plan = random_plan(shape, random);
    // Messages are moved away from where they are due, and channels are narrow.
    for (auto& list : plan.operations) {
      for (int swaps = pick(random, 6); swaps > 0 && list.size() > 3; --swaps) {
        const auto at = static_cast<std::size_t>(pick(random, static_cast<int>(list.size()) - 1));
        const bool messages = (list[at].sends() || list[at].receives()) &&
                              (list[at + 1].sends() || list[at + 1].receives());
        if (messages) std::swap(list[at], list[at + 1]);
      }
    }
    plan.channels = {1 + pick(random, 3), pick(random, 3)};
    const bool stuck = !deadlock_problem(plan).empty();
    ASSERT_EQ(stuck, !runs_to_its_end(plan)) << to_json(plan).dump();
    deadlocks += stuck ? 1 : 0;
  }
  EXPECT_GT(deadlocks, kPlans / 100);  // the test sees both kinds
  EXPECT_LT(deadlocks, kPlans - kPlans / 30);
}

TEST(PlanCheck, ACircleOfWaitingRanksIsNamed) {
  Plan plan = plan_1f1b({1, 2, 1, 1});
  auto& list = plan.operations[0];
  std::swap(list[1], list[2]);  // waits for the gradient before it sends the activation
  plan.channels = {1, 1};
  EXPECT_THAT(deadlock_problem(plan), HasSubstr("rank 0"));
  EXPECT_THAT(deadlock_problem(plan), HasSubstr("rank 1"));
  EXPECT_NE(plan_problem(plan), "");
}

TEST(PlanCheck, RefusalsAreRecipeErrors) {
  Plan plan = plan_1f1b({1, 2, 1, 2});
  EXPECT_NO_THROW(require_sound(plan));
  plan.operations[1].pop_back();
  try {
    require_sound(plan);
    FAIL() << "a plan without an update was accepted";
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
    EXPECT_THAT(error.what(), HasSubstr("plan 1f1b: "));
    EXPECT_THAT(error.what(), HasSubstr("update"));
  }
}

TEST(PlanCheck, PlansSurviveTheirTextForm) {
  std::mt19937 random(4);
  for (int i = 0; i < 200; ++i) {
    const Plan plan = random_plan(random_shape(random), random);
    ASSERT_EQ(plan_from_json(core::Json::parse(to_json(plan).dump()), "plan.json"), plan);
  }
}

TEST(PlanCheck, DamagedTextIsRefused) {
  core::Json json = to_json(plan_1f1b({1, 2, 1, 2}));
  const auto refuse = [](const core::Json& text) -> std::string {
    try {
      plan_from_json(text, "plan.json");
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kDataMalformed);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refuse(core::Json::array()), HasSubstr("plan.json"));
  for (const auto& [key, value] : json.items()) {
    core::Json less = json;
    less.erase(key);
    EXPECT_THAT(refuse(less), HasSubstr(key)) << key;
  }
  core::Json odd = json;
  odd["operations"][0][0] = {"sideways", 0, 0};
  EXPECT_THAT(refuse(odd), HasSubstr("sideways"));
}

TEST(PlanCheck, NumbersThatAreNoIntsAreRefusedAtTheirPlace) {
  const core::Json json = to_json(plan_1f1b({1, 2, 1, 2}));
  // What an int would take for 1, for 0, or for something below; fractions; text.
  const std::vector<std::string> wrong{"4294967297",
                                       "4294967296",
                                       "18446744073709551615",
                                       "9223372036854775808",
                                       "2147483648",
                                       "-1",
                                       "1.5",
                                       "1e300",
                                       "\"1\"",
                                       "null",
                                       "true",
                                       "[1]"};
  for (const std::string& number : wrong) {
    for (const char* place :
         {"/stages", "/receive_buffers", "/send_buffers", "/live_bound/0", "/stages_of_rank/1/0",
          "/paths/0/1/1", "/operations/0/0/1", "/operations/0/1/3", "/operations/0/1/4"}) {
      core::Json odd = json;
      odd.at(core::Json::json_pointer(place)) = core::Json::parse(number);
      try {
        plan_from_json(odd, "plan.json");
        ADD_FAILURE() << number << " at " << place << " was taken";
      } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::kDataMalformed);
        EXPECT_THAT(error.what(), testing::StartsWith("plan.json: ")) << place;
        EXPECT_THAT(error.what(), HasSubstr("got ")) << place;
      }
    }
  }
}

}  // namespace
}  // namespace rw::pipeline
