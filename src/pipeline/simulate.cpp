// Part of Ropewalk, MIT licence.
#include "pipeline/simulate.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "core/error.h"

namespace rw::pipeline {
namespace {

using Message = std::tuple<int, int, int>;  // from, to, tag

class Simulation {
 public:
  Simulation(const Plan& plan, const CostFunctions& costs) : plan_(plan), costs_(costs) {
    const auto ranks = static_cast<std::size_t>(plan.ranks());
    line_.spans.resize(ranks);
    causes_.resize(ranks);
    link_free_.resize(ranks, 0);
  }

  Timeline run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int rank = 0; rank < plan_.ranks(); ++rank) {
        while (advance(rank)) moved = true;
      }
      if (!moved) moved = release_updates();
    }
    finish();
    return std::move(line_);
  }

 private:
  const std::vector<Operation>& list(int rank) const {
    return plan_.operations[static_cast<std::size_t>(rank)];
  }
  std::vector<Span>& spans(int rank) { return line_.spans[static_cast<std::size_t>(rank)]; }
  bool at_end(int rank) { return spans(rank).size() == list(rank).size(); }
  const Operation& next(int rank) { return list(rank)[spans(rank).size()]; }
  OperationRef last(int rank) { return {rank, static_cast<int>(spans(rank).size()) - 1}; }
  double now(int rank) { return spans(rank).empty() ? 0 : spans(rank).back().end; }

  void place(int rank, double begin, double end, OperationRef cause) {
    spans(rank).push_back({begin, end});
    causes_[static_cast<std::size_t>(rank)].push_back(cause);
  }

  void send(int rank, const Operation& op) {
    double& free = link_free_[static_cast<std::size_t>(rank)];
    free = std::max(free, now(rank)) + costs_.operation(rank, op);
    sent_[{rank, op.peer, op.tag}] = {last(rank), free + costs_.transfer(rank, op.peer)};
  }

  bool advance(int rank) {
    if (at_end(rank)) return false;
    const Operation& op = next(rank);
    const double begin = now(rank);
    const OperationRef before = last(rank);
    if (op.kind == OpKind::kUpdate) return false;
    if (!op.receives()) {
      const double cost = op.sends() ? 0 : costs_.operation(rank, op);
      place(rank, begin, begin + cost, before);
      if (op.sends()) send(rank, op);
      return true;
    }
    const auto sent = sent_.find({op.peer, rank, op.tag});
    if (sent == sent_.end()) return false;
    const auto [from, arrival] = sent->second;
    const bool waited = arrival > begin;
    place(rank, begin, std::max(begin, arrival), waited ? from : before);
    return true;
  }

  /// When all ranks stand before their update (or at the end): runs it everywhere.
  bool release_updates() {
    std::vector<int> waiting;
    int slowest = -1;
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      if (at_end(rank)) continue;
      if (next(rank).kind != OpKind::kUpdate) return false;
      waiting.push_back(rank);
      if (slowest < 0 || now(rank) > now(slowest)) slowest = rank;
    }
    if (waiting.empty()) return false;
    const double begin = now(slowest);
    const OperationRef cause = last(slowest);
    for (const int rank : waiting) {
      place(rank, begin, begin + costs_.operation(rank, next(rank)), cause);
    }
    return true;
  }

  void finish() {
    OperationRef end{0, -1};
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      if (!at_end(rank)) {
        throw core::Error(core::ErrorKind::kBug, "simulate: rank " + std::to_string(rank) +
                                                     " is stuck at " + next(rank).text() +
                                                     "; want a plan that passes plan_check");
      }
      if (now(rank) > line_.makespan || end.index < 0) end = last(rank);
      line_.makespan = std::max(line_.makespan, now(rank));
    }
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      double busy = 0;
      for (const Operation& op : list(rank)) {
        if (!op.sends() && !op.receives()) busy += costs_.operation(rank, op);
      }
      line_.bubble.push_back(line_.makespan > 0 ? 1 - busy / line_.makespan : 0);
    }
    for (; end.index >= 0;
         end = causes_[static_cast<std::size_t>(end.rank)][static_cast<std::size_t>(end.index)]) {
      line_.critical_path.push_back(end);
    }
    std::reverse(line_.critical_path.begin(), line_.critical_path.end());
  }

  const Plan& plan_;
  const CostFunctions& costs_;
  Timeline line_;
  std::vector<std::vector<OperationRef>> causes_;
  struct Sent {
    OperationRef by;
    double arrival = 0;
  };
  std::map<Message, Sent> sent_;
  std::vector<double> link_free_;  // per rank: when its last message is out
};

/// The same on every rank.
double cost_of(const Costs& costs, const Operation& op) {
  const auto stage = static_cast<std::size_t>(std::max(op.stage, 0));
  switch (op.kind) {
    case OpKind::kForward:
      return costs.forward.at(stage);
    case OpKind::kBackward:
      return costs.backward_input.at(stage) + costs.backward_weight.at(stage);
    case OpKind::kBackwardInput:
      return costs.backward_input.at(stage);
    case OpKind::kBackwardWeight:
      return costs.backward_weight.at(stage);
    case OpKind::kReduce:
      return costs.reduce;
    case OpKind::kUpdate:
      return costs.update;
    default:
      return costs.message;
  }
}

}  // namespace

double Timeline::mean_bubble() const {
  if (bubble.empty()) return 0;
  return std::accumulate(bubble.begin(), bubble.end(), 0.0) / static_cast<double>(bubble.size());
}

Timeline simulate(const Plan& plan, const Costs& costs) {
  return simulate(plan, CostFunctions{[&](int, const Operation& op) { return cost_of(costs, op); },
                                      [&](int, int) { return costs.transfer; }});
}

Timeline simulate(const Plan& plan, const CostFunctions& costs) {
  return Simulation(plan, costs).run();
}

}  // namespace rw::pipeline
