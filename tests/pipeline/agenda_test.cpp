// Part of Ropewalk, MIT licence.
// Ranks that leave the planned order, tried in every way there is.
#include "pipeline/agenda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "pipeline/classic.h"
#include "pipeline/plan_check.h"
#include "pipeline/walk_chooser.h"
#include "random_plans.h"

namespace rw::pipeline {
namespace {

using test::pick;

/// All ranks of a plan with their agendas. Messages go from rank to rank at once or whenever the caller
/// likes; memory is counted here anew, not taken from the agenda.
class World {
 public:
  explicit World(const Plan& plan) : plan_(&plan), live_(plan.operations.size(), 0) {
    for (int rank = 0; rank < plan.ranks(); ++rank) agendas_.emplace_back(plan, rank);
  }
  const Plan& plan() const { return *plan_; }
  Agenda& agenda(int rank) { return agendas_[static_cast<std::size_t>(rank)]; }
  const std::vector<Operation>& list(int rank) const {
    return plan_->operations[static_cast<std::size_t>(rank)];
  }
  bool over() const {
    return std::all_of(agendas_.begin(), agendas_.end(),
                       [](const Agenda& one) { return one.over(); });
  }
  /// Everything that a rank may do now.
  std::vector<Choice> choices(int rank) {
    auto out = agenda(rank).others();
    if (const auto planned = agenda(rank).planned()) out.push_back(*planned);
    return out;
  }
  /// Runs it; what it makes is on its way (under_way).
  void run(int rank, const Choice& choice) {
    const Operation& op = list(rank)[choice.index];
    agenda(rank).done(choice);
    weigh(rank, op, choice.kind);
    done_.insert({rank, choice.index, choice.kind});
    if (choice.kind == OpKind::kBackwardWeight) {
      weights_[{rank, op.stage}].push_back(op.micro_batch);
      return;
    }
    if (choice.kind == OpKind::kBackward) weights_[{rank, op.stage}].push_back(op.micro_batch);
    const bool forward = choice.kind == OpKind::kForward;
    for (const Operation& send : list(rank)) {
      const bool mine = send.kind == (forward ? OpKind::kSendActivation : OpKind::kSendGradient) &&
                        send.micro_batch == op.micro_batch && send.stage == op.stage;
      if (mine) under_way_.insert({rank, send.peer, send.tag});
    }
  }
  using Message = std::tuple<int, int, int>;  // from, to, tag
  const std::set<Message>& under_way() const { return under_way_; }
  void deliver(const Message& message) {
    under_way_.erase(message);
    const auto [from, to, tag] = message;
    for (std::size_t i = 0; i < list(to).size(); ++i) {
      const Operation& op = list(to)[i];
      if (op.receives() && op.peer == from && op.tag == tag) agenda(to).arrived(i);
    }
    arrived_.insert(message);
  }
  /// All that the future depends on.
  auto state() const { return std::pair(done_, under_way_); }
  /// Per rank and stage: micro-batches in the order in which their weight gradients were added.
  const std::map<std::pair<int, int>, std::vector<int>>& weights() const { return weights_; }

 private:
  void weigh(int rank, const Operation& op, OpKind kind) {
    int& live = live_[static_cast<std::size_t>(rank)];
    if (kind == OpKind::kForward) ++live;
    if (kind == OpKind::kBackward || kind == OpKind::kBackwardWeight) --live;
    ASSERT_LE(live, plan_->live_bound[static_cast<std::size_t>(rank)]) << op.text();
  }
  const Plan* plan_;
  std::vector<Agenda> agendas_;
  std::vector<int> live_;
  std::set<std::tuple<int, std::size_t, OpKind>> done_;
  std::set<Message> under_way_, arrived_;
  std::map<std::pair<int, int>, std::vector<int>> weights_;
};

/// Goes through every state that any timing and any choice can lead to. Expects that each can be left
/// unless all is done. Returns how many there are; gives up beyond `most`.
std::size_t explore(const Plan& plan, std::size_t most) {
  std::vector<World> open{World(plan)};
  std::set<decltype(open.back().state())> seen{open.back().state()};
  while (!open.empty()) {
    const World here = open.back();
    open.pop_back();
    std::vector<World> next;
    for (const auto& message : here.under_way()) {
      World one = here;
      one.deliver(message);
      next.push_back(std::move(one));
    }
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      World probe = here;
      for (const Choice& choice : probe.choices(rank)) {
        World one = here;
        one.run(rank, choice);
        next.push_back(std::move(one));
      }
    }
    if (next.empty() && !here.over()) {
      ADD_FAILURE() << "stuck: " << to_json(plan).dump();
      return 0;
    }
    for (World& one : next) {
      if (seen.size() < most && seen.insert(one.state()).second) open.push_back(std::move(one));
    }
    if (::testing::Test::HasFailure()) return 0;
  }
  return seen.size();
}

std::vector<std::vector<int>> planned_weights(const Plan& plan, int rank) {
  std::vector<std::vector<int>> out(static_cast<std::size_t>(plan.stages));
  for (const Operation& op : plan.operations[static_cast<std::size_t>(rank)]) {
    if (op.kind == OpKind::kBackward || op.kind == OpKind::kBackwardWeight) {
      out[static_cast<std::size_t>(op.stage)].push_back(op.micro_batch);
    }
  }
  return out;
}

/// Random walk to the end; at every turn some rank or message moves.
void walk(World world, std::mt19937& random) {
  while (!world.over()) {
    std::vector<World::Message> messages(world.under_way().begin(), world.under_way().end());
    std::vector<std::pair<int, Choice>> moves;
    for (int rank = 0; rank < world.plan().ranks(); ++rank) {
      for (const Choice& choice : world.choices(rank)) moves.emplace_back(rank, choice);
    }
    const int all = static_cast<int>(messages.size() + moves.size());
    ASSERT_GT(all, 0) << "stuck: " << to_json(world.plan()).dump();
    const auto chosen = static_cast<std::size_t>(pick(random, all));
    if (chosen < messages.size()) {
      world.deliver(messages[chosen]);
    } else {
      const auto& move = moves[chosen - messages.size()];
      world.run(move.first, move.second);
    }
    if (::testing::Test::HasFatalFailure()) return;
  }
  for (const auto& [key, micro_batches] : world.weights()) {
    const auto want = planned_weights(world.plan(), key.first);
    ASSERT_EQ(micro_batches, want[static_cast<std::size_t>(key.second)]) << "order of sums";
  }
}

Plan with_room(Plan plan, int more) {
  for (int& bound : plan.live_bound) bound += more;
  return plan;
}

test::RandomShape shape_of(std::mt19937& random, int micro_batches) {
  test::RandomShape out;
  out.ranks = 2 + pick(random, 2);
  out.stages = out.ranks + pick(random, 2);
  out.micro_batches = micro_batches;
  out.skip = true;
  return out;
}

TEST(Agenda, NoStateOfSmallPlansIsADeadEnd) {
  std::mt19937 random(3);
  std::size_t states = 0;
  for (int i = 0; i < 30; ++i) {
    const Plan plan = test::random_plan(shape_of(random, 2), random);
    states += explore(with_room(plan, i % 2), 20000);
    if (HasFailure()) return;
  }
  EXPECT_GT(states, 30 * 50U);  // there were choices
}

TEST(Agenda, RandomWalksEndAndAddInPlannedOrder) {
  std::mt19937 random(11);
  for (int i = 0; i < 150; ++i) {
    const Plan plan = test::random_plan(shape_of(random, 3 + i % 4), random);
    walk(World(with_room(plan, i % 3)), random);
    if (HasFailure()) return;
  }
}

/// Two micro-batches that go through ranks 1 and 2 in opposite order, each rank with memory for one:
/// sound when one goes after the other.
Plan crossing() {
  Plan plan;
  plan.schedule = "crossing";
  plan.stages = 4;
  plan.stages_of_rank = {{0, 3}, {1}, {2}};
  plan.paths = {{{0, 0}, {1, 1}, {2, 2}, {3, 0}}, {{0, 0}, {2, 2}, {1, 1}, {3, 0}}};
  plan.operations.resize(3);
  for (int m = 0; m < 2; ++m) {
    const auto& path = plan.paths[static_cast<std::size_t>(m)];
    for (const Visit& visit : path) {
      plan.operations[static_cast<std::size_t>(visit.rank)].push_back(
          {OpKind::kForward, m, visit.stage});
    }
    for (auto visit = path.rbegin(); visit != path.rend(); ++visit) {
      plan.operations[static_cast<std::size_t>(visit->rank)].push_back(
          {OpKind::kBackward, m, visit->stage});
    }
  }
  complete(plan);
  plan.live_bound[0] = 4;  // both may start
  return plan;
}

TEST(Agenda, HoldsBackAForwardThatIsReadyButWouldLockTheOther) {
  const Plan plan = crossing();
  ASSERT_EQ(plan_problem(plan), "");
  explore(plan, 100000);
  // Rank 2 gets micro-batch 1 first, and has room; running it would leave micro-batch 0 without.
  World world(plan);
  for (int m = 0; m < 2; ++m) {
    const auto choices = world.choices(0);
    const auto starts = std::find_if(choices.begin(), choices.end(), [&](const Choice& one) {
      const Operation& op = world.list(0)[one.index];
      return op.micro_batch == m && op.stage == 0;
    });
    ASSERT_NE(starts, choices.end());
    world.run(0, *starts);
  }
  const auto messages = world.under_way();
  for (const auto& message : messages) {
    if (std::get<1>(message) == 2) world.deliver(message);
  }
  EXPECT_TRUE(world.choices(2).empty());
  Plan roomier = plan;
  roomier.live_bound[2] = 2;
  World relaxed(roomier);
  relaxed.run(0, *relaxed.agenda(0).planned());
  relaxed.run(0, relaxed.choices(0).at(0));
  const auto more = relaxed.under_way();
  for (const auto& message : more) {
    if (std::get<1>(message) == 2) relaxed.deliver(message);
  }
  EXPECT_EQ(relaxed.choices(2).size(), 1U);
}

TEST(Agenda, PassesALateGradientOnInTwoParts) {
  // One rank between two others; the gradients come in the wrong order.
  Problem problem;
  problem.pp = 2;
  problem.micro_batches = 2;
  const Plan plan = plan_gpipe(problem);
  Agenda agenda(plan, 0);
  const auto& list = plan.operations[0];
  std::vector<std::size_t> gradients;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].kind == OpKind::kReceiveGradient) gradients.push_back(i);
  }
  ASSERT_EQ(gradients.size(), 2U);
  agenda.done(*agenda.planned());
  agenda.done(*agenda.planned());
  EXPECT_EQ(agenda.missing(), gradients[0]);
  EXPECT_FALSE(agenda.planned());
  agenda.arrived(gradients[1]);
  const auto other = agenda.other();
  ASSERT_TRUE(other);
  EXPECT_EQ(other->kind, OpKind::kBackwardInput);  // its weights must wait for micro-batch 0's
  EXPECT_EQ(list[other->index].micro_batch, 1);
  agenda.done(*other);
  EXPECT_FALSE(agenda.other());
  agenda.arrived(gradients[0]);
  EXPECT_EQ(agenda.planned()->kind, OpKind::kBackward);
  agenda.done(*agenda.planned());
  EXPECT_EQ(agenda.planned()->kind, OpKind::kBackwardWeight);
  agenda.done(*agenda.planned());
  EXPECT_TRUE(agenda.over());
}

TEST(Agenda, TakesTheLongestRemainingPath) {
  Problem problem;
  problem.dp = 1;
  problem.pp = 3;
  problem.micro_batches = 4;
  const Plan plan = with_room(plan_gpipe(problem), 4);
  Agenda agenda(plan, 1);
  const auto& list = plan.operations[1];
  std::map<int, std::size_t> activations, gradients;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].kind == OpKind::kReceiveActivation) activations[list[i].micro_batch] = i;
    if (list[i].kind == OpKind::kReceiveGradient) gradients[list[i].micro_batch] = i;
  }
  agenda.arrived(activations[0]);
  agenda.arrived(activations[1]);
  agenda.done(*agenda.planned());
  agenda.done(*agenda.planned());
  agenda.arrived(gradients[0]);
  agenda.arrived(activations[3]);
  const auto other = agenda.other();
  ASSERT_TRUE(other);
  EXPECT_EQ(other->kind, OpKind::kForward);  // further from its end than the backward of 0
  EXPECT_EQ(list[other->index].micro_batch, 3);
}

}  // namespace
}  // namespace rw::pipeline
