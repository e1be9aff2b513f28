// Part of Ropewalk, MIT licence.
// Ranks with patience on a simulated clock: what leaving the planned order is worth.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "pipeline/agenda.h"
#include "pipeline/planners.h"
#include "pipeline/walk_chooser.h"
#include "random_plans.h"

namespace rw::pipeline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Runs a plan with its agendas, event by event.
class Clock {
 public:
  /// slowness: per rank, factor on all its operations. patience: kNever keeps the planned order.
  Clock(const Plan& plan, const WalkCosts& costs, std::vector<double> slowness, double patience)
      : plan_(plan), costs_(costs), slowness_(std::move(slowness)), patience_(patience) {
    for (int rank = 0; rank < plan.ranks(); ++rank) agendas_.emplace_back(plan, rank);
    ranks_.resize(agendas_.size());
  }

  /// The end of the last operation; kNever: stuck.
  double run() {
    double now = 0;
    double end = 0;
    while (true) {
      settle(now);
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        if (!ranks_[rank].running) start(static_cast<int>(rank), now);
        if (ranks_[rank].running) end = std::max(end, ranks_[rank].until);
      }
      now = next_time(now);
      if (now == kNever) break;
    }
    const bool over =
        std::all_of(agendas_.begin(), agendas_.end(), [](const Agenda& one) { return one.over(); });
    return over ? end : kNever;
  }
  int out_of_order() const { return out_of_order_; }

 private:
  struct Rank {
    bool running = false;
    double until = 0;  // running: its end; otherwise: idle since
    Choice choice;
  };
  struct Message {
    double arrival = 0;
    int to = 0;
    std::size_t receive = 0;
  };
  const std::vector<Operation>& list(int rank) const {
    return plan_.operations[static_cast<std::size_t>(rank)];
  }

  double length(int rank, const Choice& choice) const {
    const auto at = static_cast<std::size_t>(rank);
    const Operation& op = list(rank)[choice.index];
    const double forward = costs_.forward_s[at] * slowness_[at];
    const bool head = op.stage + 1 == plan_.stages;
    if (choice.kind == OpKind::kForward) return head ? forward * costs_.loss_factor : forward;
    if (head) return 0;
    const double backward = forward * costs_.backward_factor;
    return choice.kind == OpKind::kBackward ? backward : backward / 2;
  }

  /// What ended by `now`, and messages that are there.
  void settle(double now) {
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      Rank& one = ranks_[rank];
      if (!one.running || one.until > now) continue;
      one.running = false;
      agendas_[rank].done(one.choice);
      if (one.choice.kind != OpKind::kBackwardWeight) send(static_cast<int>(rank), one.choice, now);
    }
    for (const Message& message : under_way_) {
      if (message.arrival <= now) {
        agendas_[static_cast<std::size_t>(message.to)].arrived(message.receive);
      }
    }
    std::erase_if(under_way_, [&](const Message& message) { return message.arrival <= now; });
  }

  void send(int rank, const Choice& choice, double now) {
    const Operation& op = list(rank)[choice.index];
    const bool forward = choice.kind == OpKind::kForward;
    for (const Operation& send : list(rank)) {
      const bool mine = send.kind == (forward ? OpKind::kSendActivation : OpKind::kSendGradient) &&
                        send.micro_batch == op.micro_batch && send.stage == op.stage;
      if (!mine) continue;
      const auto& theirs = list(send.peer);
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        if (!theirs[i].receives() || theirs[i].peer != rank || theirs[i].tag != send.tag) continue;
        const double way =
            costs_.transfer_s[static_cast<std::size_t>(rank)][static_cast<std::size_t>(send.peer)];
        under_way_.push_back({now + way, send.peer, i});
      }
    }
  }

  void start(int rank, double now) {
    Rank& one = ranks_[static_cast<std::size_t>(rank)];
    Agenda& agenda = agendas_[static_cast<std::size_t>(rank)];
    auto choice = agenda.planned();
    if (!choice && now - one.until >= patience_) {
      choice = agenda.other();
      if (choice) ++out_of_order_;
    }
    if (!choice) return;
    one.running = true;
    one.choice = *choice;
    one.until = now + length(rank, *choice);
  }

  double next_time(double now) const {
    double next = kNever;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      const Rank& one = ranks_[rank];
      if (one.running) next = std::min(next, one.until);
      const double impatient = one.until + patience_;
      if (!one.running && impatient > now) next = std::min(next, impatient);
    }
    for (const Message& message : under_way_) next = std::min(next, message.arrival);
    return next;
  }

  const Plan& plan_;
  const WalkCosts& costs_;
  std::vector<double> slowness_;
  double patience_;
  std::vector<Agenda> agendas_;
  std::vector<Rank> ranks_;
  std::vector<Message> under_way_;
  int out_of_order_ = 0;
};

/// SkipPipe's picture: 6 stages, 4 replicas, every path 4 nodes long, transfers that differ; memory
/// for `memory` micro-batches, the plan made for one less.
struct Scene {
  Problem problem;
  WalkCosts costs;
  Plan plan;
};

Scene scene(std::mt19937& random, int memory) {
  Scene out;
  out.problem.dp = 3;
  out.problem.pp = 6;
  out.problem.micro_batches = 18;
  const auto nodes = static_cast<std::size_t>(out.problem.ranks());
  out.costs.forward_s.assign(nodes, 1);
  out.costs.loss_factor = 0.25;
  out.costs.memory.assign(nodes, memory - 1);
  for (std::size_t i = 0; i < nodes; ++i) {
    auto& row = out.costs.transfer_s.emplace_back();
    for (std::size_t j = 0; j < nodes; ++j) row.push_back(test::pick(random, 100) * 0.01);
  }
  const Walks walks =
      schedule_walks(spread_stages(out.problem), choose_paths(out.problem, 4), out.costs);
  for (int& room : out.costs.memory) room = memory;
  out.plan = plan_from_walks("scene", walks, out.costs);
  return out;
}

TEST(AgendaOnAClock, PatienceChangesNothingWhileAllGoesAsPlanned) {
  std::mt19937 random(1);
  for (int i = 0; i < 10; ++i) {
    const Scene one = scene(random, 4);
    const std::vector<double> even(one.costs.forward_s.size(), 1);
    const double planned = Clock(one.plan, one.costs, even, kNever).run();
    EXPECT_LT(planned, kNever);
    Clock patient(one.plan, one.costs, even, 1e6);
    EXPECT_EQ(patient.run(), planned);
    EXPECT_EQ(patient.out_of_order(), 0);
  }
}

TEST(AgendaOnAClock, NobodyGetsStuckAndASlowRankHoldsUpLess) {
  std::mt19937 random(2);
  double in_order = 0;
  double impatient = 0;
  int moves = 0;
  for (int i = 0; i < 60; ++i) {
    const Scene one = scene(random, 3 + i % 3);
    std::vector<double> slowness;
    for (std::size_t rank = 0; rank < one.costs.forward_s.size(); ++rank) {
      slowness.push_back(0.8 + 0.01 * test::pick(random, 40));
    }
    slowness[static_cast<std::size_t>(test::pick(random, one.problem.ranks()))] *= 2;
    const double strict = Clock(one.plan, one.costs, slowness, kNever).run();
    Clock loose(one.plan, one.costs, slowness, 0.05);
    const double free = loose.run();
    ASSERT_LT(strict, kNever);
    ASSERT_LT(free, kNever);
    in_order += strict;
    impatient += free;
    moves += loose.out_of_order();
  }
  RecordProperty("share_of_time_saved", std::to_string(1 - impatient / in_order));
  RecordProperty("out_of_order", moves);
  EXPECT_GT(moves, 60);
  EXPECT_LT(impatient, 0.99 * in_order);
}

}  // namespace
}  // namespace rw::pipeline
