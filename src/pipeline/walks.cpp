// Part of Ropewalk, MIT licence.
#include "pipeline/walks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/plan_check.h"
#include "planner/field.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// Of planners' times (docs/formats/problem.md), in seconds.
constexpr double kTolerance = 1e-3;

/// An operation with its time and, for a message, the time of its way.
struct Timed {
  Operation op;
  Span span;
};

class Builder {
 public:
  Builder(std::string schedule, const Walks& walks, const WalkCosts& costs)
      : schedule_(std::move(schedule)), walks_(walks), costs_(costs) {}

  Plan build() {
    place();
    for (std::size_t m = 0; m < walks_.micro_batches.size(); ++m) add_walk(static_cast<int>(m));
    for (auto& list : timed_) sort_by_start(list);
    plan_.operations.resize(timed_.size());
    for (std::size_t rank = 0; rank < timed_.size(); ++rank) {
      for (const Timed& one : timed_[rank]) plan_.operations[rank].push_back(one.op);
    }
    complete(plan_);  // messages, reduces, update
    predict();
    fit_channels();
    for (std::size_t rank = 0; rank < timed_.size(); ++rank) {
      plan_.live_bound[rank] = costs_.memory[rank] + (holds_head(stage_of_[rank]) ? 1 : 0);
    }
    const std::string problem = plan_problem(plan_);
    if (!problem.empty()) fail(problem);
    return std::move(plan_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kRecipe, fmt::format("{}: {}", schedule_, what));
  }
  int head() const { return plan_.stages - 1; }
  bool holds_head(int group) const {
    return costs_.loss_at_last ? group >= head_from_ : group == 0;
  }

  void place() {
    const std::size_t nodes = costs_.forward_s.size();
    if (costs_.memory.size() != nodes || costs_.transfer_s.size() != nodes) {
      fail(
          fmt::format("got {} forward times, {} memories, {} rows of transfer times; want one of "
                      "each per node",
                      nodes, costs_.memory.size(), costs_.transfer_s.size()));
    }
    plan_.schedule = schedule_;
    plan_.stages = static_cast<int>(walks_.arrangement.size()) + 1;
    plan_.head_alone = true;
    head_from_ = walks_.head_from >= 0 ? walks_.head_from : lowest_end(walks_);
    plan_.stages_of_rank.resize(nodes);
    stage_of_.assign(nodes, -1);
    timed_.resize(nodes);
    for (std::size_t s = 0; s < walks_.arrangement.size(); ++s) {
      for (const int node : walks_.arrangement[s]) {
        if (node < 0 || at(node) >= nodes || stage_of_[at(node)] >= 0) {
          fail(fmt::format("arrangement, stage {}: got node {}; want each of 0 to {} once", s, node,
                           nodes - 1));
        }
        stage_of_[at(node)] = static_cast<int>(s);
        plan_.stages_of_rank[at(node)].push_back(static_cast<int>(s));
        if (holds_head(static_cast<int>(s))) plan_.stages_of_rank[at(node)].push_back(head());
      }
    }
    const auto missing = std::find(stage_of_.begin(), stage_of_.end(), -1);
    if (missing != stage_of_.end()) {
      fail(fmt::format("arrangement: node {} has no stage; want each of 0 to {} once",
                       missing - stage_of_.begin(), nodes - 1));
    }
  }

  void check(const Walk& walk, int m) const {
    const std::size_t length = walk.nodes.size();
    for (const int node : walk.nodes) {
      if (node < 0 || at(node) >= stage_of_.size()) {
        fail(fmt::format("path of micro-batch {}: got node {}; want 0 to {}", m, node,
                         stage_of_.size() - 1));
      }
    }
    if (length == 0 || stage_of_[at(walk.nodes[0])] != 0) {
      fail(fmt::format("path of micro-batch {}: want it to begin at a node of stage 0", m));
    }
    if (walk.starts.size() != 2 * length + 1) {
      fail(fmt::format("micro-batch {}: got {} starts for {} nodes; want {}", m, walk.starts.size(),
                       length, 2 * length + 1));
    }
    if (!walk.weight_starts.empty() && walk.weight_starts.size() != length) {
      fail(fmt::format("micro-batch {}: got {} weight_starts for {} nodes; want {}, or none", m,
                       walk.weight_starts.size(), length, length));
    }
    for (std::size_t i = 0; i < walk.weight_starts.size(); ++i) {
      const double end = walk.starts[2 * length - i] +
                         costs_.backward_factor * costs_.forward_s[at(walk.nodes[i])];
      if (std::isfinite(walk.weight_starts[i]) && walk.weight_starts[i] >= end - kTolerance)
        continue;
      fail(
          fmt::format("micro-batch {}: got start {} of weight gradient {}; want {} or later, when "
                      "its input gradient ends",
                      m, walk.weight_starts[i], i, end));
    }
    for (std::size_t i = 0; i < walk.starts.size(); ++i) {
      if (!std::isfinite(walk.starts[i]) || walk.starts[i] < 0 ||
          (i > 0 && walk.starts[i] < walk.starts[i - 1])) {
        fail(
            fmt::format("micro-batch {}: got start {} of operation {}; want numbers from 0 that "
                        "do not fall",
                        m, walk.starts[i], i));
      }
    }
  }

  void add(int node, OpKind kind, int m, int stage, double begin, double length) {
    timed_[at(node)].push_back({{kind, m, stage}, {begin, begin + length}});
  }

  void add_walk(int m) {
    const Walk& walk = walks_.micro_batches[at(m)];
    check(walk, m);
    auto& path = plan_.paths.emplace_back();
    const std::size_t length = walk.nodes.size();
    for (std::size_t i = 0; i < length; ++i) {
      const int node = walk.nodes[i];
      const int stage = stage_of_[at(node)];
      const double forward = costs_.forward_s[at(node)];
      path.push_back({stage, node});
      add(node, OpKind::kForward, m, stage, walk.starts[i], forward);
      const bool split = !walk.weight_starts.empty();
      add(node, split ? OpKind::kBackwardInput : OpKind::kBackward, m, stage,
          walk.starts[2 * length - i], costs_.backward_factor * forward);
      if (!split) continue;
      add(node, OpKind::kBackwardWeight, m, stage, walk.weight_starts[i],
          costs_.weight_factor * forward);
    }
    const int judge = costs_.loss_at_last ? walk.nodes.back() : walk.nodes.front();
    path.push_back({head(), judge});
    const double loss = costs_.loss_factor * costs_.forward_s[at(judge)];
    const double begin = walk.starts[length];
    add(judge, OpKind::kForward, m, head(), begin, kLossForward * loss);
    add(judge, OpKind::kBackward, m, head(), begin + kLossForward * loss,
        (1 - kLossForward) * loss);
  }

  /// By start; where operations without length share one, the micro-batch's own order holds.
  void sort_by_start(std::vector<Timed>& list) const {
    const auto key = [&](const Timed& one) {
      const bool forward = one.op.kind == OpKind::kForward;
      const int turn = forward ? 0 : one.op.kind == OpKind::kBackwardWeight ? 2 : 1;
      const int along = position_in(plan_.paths[at(one.op.micro_batch)], one.op.stage);
      return std::tuple(one.span.begin, one.span.end, one.op.micro_batch, turn,
                        forward ? along : -along);
    };
    std::sort(list.begin(), list.end(),
              [&](const Timed& a, const Timed& b) { return key(a) < key(b); });
  }

  /// Times of the completed lists: those of the operations, and of each message its way.
  void predict() {
    double last = 0;
    for (const auto& list : timed_) {
      for (const Timed& one : list) last = std::max(last, one.span.end);
    }
    std::vector<double> made(at(2 * plan_.stages * plan_.micro_batches()), 0);  // by tag
    const auto tag = [&](const Operation& op) {
      return at(message_tag(op.micro_batch, op.stage, plan_.stages, op.kind != OpKind::kForward));
    };
    for (const auto& list : timed_) {
      for (const Timed& one : list) {
        if (one.op.kind != OpKind::kBackwardWeight) made[tag(one.op)] = one.span.end;
      }
    }
    plan_.predicted.resize(timed_.size());
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      std::size_t next = 0;
      double end = 0;  // of what this rank computes
      for (const Timed& one : timed_[at(rank)]) end = std::max(end, one.span.end);
      for (const Operation& op : plan_.operations[at(rank)]) {
        Span span{end, end};
        if (op.kind == OpKind::kUpdate) span = {last, last};
        if (computes(op.kind)) {
          span = timed_[at(rank)][next++].span;
        } else if (op.sends() || op.receives()) {
          const double begin = made[at(op.tag)];
          const int from = op.sends() ? rank : op.peer;
          const int to = op.sends() ? op.peer : rank;
          span = {begin, begin + costs_.transfer_s[at(from)].at(at(to))};
        }
        plan_.predicted[at(rank)].push_back(span);
      }
    }
  }

  /// No send waits at all; and as many receives are posted ahead as messages need in time.
  void fit_channels() {
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      const auto& list = plan_.operations[at(rank)];
      int sends = 0;
      std::vector<double> sent;  // per receive, in order: when its message leaves
      std::vector<double> used;  // when the rank comes to it
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i].sends()) ++sends;
        if (!list[i].receives()) continue;
        sent.push_back(plan_.predicted[at(rank)][i].begin);
        used.push_back(plan_.predicted[at(rank)][i + 1].begin);
      }
      int ahead = 0;
      for (std::size_t k = 0; k < sent.size(); ++k) {
        const auto through = std::upper_bound(used.begin(), used.end(), sent[k]) - used.begin();
        ahead = std::max(ahead, static_cast<int>(k) + 1 - static_cast<int>(through));
      }
      plan_.channels.send_buffers = std::max(plan_.channels.send_buffers, sends);
      plan_.channels.receive_buffers = std::max(plan_.channels.receive_buffers, ahead);
    }
  }

  std::string schedule_;
  const Walks& walks_;
  const WalkCosts& costs_;
  Plan plan_;
  int head_from_ = 0;                      // of a loss on the last node
  std::vector<int> stage_of_;              // per node
  std::vector<std::vector<Timed>> timed_;  // per node, forwards and backwards
};

using planner::Field;

/// A list with something in it.
auto some(const Field& in, const char* of) {
  auto out = in.list(Field::kAny, of);
  if (out.empty()) in.fail("an empty list", fmt::format("{}, at least one", of));
  return out;
}

std::vector<int> nodes_from(const Field& in) {
  constexpr int kMost = std::numeric_limits<int>::max();
  std::vector<int> out;
  for (const Field& node : some(in, "nodes")) out.push_back(node.whole(0, kMost));
  return out;
}

std::vector<double> starts_from(const Field& in) {
  std::vector<double> out;
  for (const Field& start : some(in, "starts")) out.push_back(start.number(0));
  return out;
}

std::vector<Walk> walks_from(const Field& in) {
  std::vector<Walk> out;
  for (const Field& one : some(in, "micro-batches")) {
    Walk& walk = out.emplace_back();
    walk.nodes = nodes_from(one.at("path"));
    walk.starts = starts_from(one.at("starts"));
    if (one.has("weight_starts")) walk.weight_starts = starts_from(one.at("weight_starts"));
  }
  return out;
}

/// All plans of a solution: its own, those of further turns, the one that visits all stages.
std::vector<Walks> turns_from(const Field& in) {
  std::vector<std::vector<int>> arrangement;
  for (const Field& group : some(in.at("arrangement"), "stages")) {
    arrangement.push_back(nodes_from(group));
  }
  std::vector<Walks> out;
  const auto add = [&](const Field& plan) {
    Walks& walks = out.emplace_back();
    walks.arrangement = arrangement;
    walks.micro_batches = walks_from(plan.at("micro_batches"));
  };
  add(in);
  if (in.has("rotations")) {
    for (const Field& turn : in.at("rotations").list(Field::kAny, "plans")) add(turn);
  }
  if (in.has("full")) add(in.at("full"));
  return out;
}

}  // namespace

Plan plan_from_walks(const std::string& schedule, const Walks& walks, const WalkCosts& costs) {
  return Builder(schedule, walks, costs).build();
}

int lowest_end(const Walks& walks) {
  std::map<int, int> group_of;
  for (std::size_t group = 0; group < walks.arrangement.size(); ++group) {
    for (const int node : walks.arrangement[group]) group_of[node] = static_cast<int>(group);
  }
  int shortest = static_cast<int>(walks.arrangement.size());
  bool steps_back = false;
  for (const Walk& walk : walks.micro_batches) {
    shortest = std::min(shortest, static_cast<int>(walk.nodes.size()));
    int highest = 0;
    for (const int node : walk.nodes) {
      steps_back = steps_back || group_of[node] < highest;
      highest = std::max(highest, group_of[node]);
    }
  }
  return shortest < 2 ? 0 : std::max(1, shortest - 1 - (steps_back ? 1 : 0));
}

WalkCosts walk_costs(const planner::Problem& problem) {
  WalkCosts out;
  out.backward_factor = problem.backward_factor;
  out.weight_factor = problem.weight_factor.value_or(0);
  out.loss_factor = problem.loss_factor;
  out.loss_at_last = problem.loss_at == planner::LossAt::kLast;
  for (int from = 0; from < problem.size(); ++from) {
    out.forward_s.push_back(problem.nodes[from].forward_s);
    out.memory.push_back(problem.nodes[from].memory);
    auto& row = out.transfer_s.emplace_back();
    for (int to = 0; to < problem.size(); ++to) row.push_back(problem.transfer_s.at(from, to));
  }
  return out;
}

WalkCosts walk_costs_from_problem(const core::Json& problem, const std::string& where) {
  planner::Problem costs;
  try {
    costs = planner::costs_from_json(problem, where);
  } catch (const Error& error) {
    throw Error(ErrorKind::kDataMalformed, error.what());
  }
  return walk_costs(costs);
}

Walks walks_from_solution(const core::Json& solution, const std::string& where) {
  return turns_from_solution(solution, where).front();
}

std::vector<Walks> turns_from_solution(const core::Json& solution, const std::string& where) {
  try {
    return turns_from(Field(solution, where));
  } catch (const Error& error) {
    throw Error(ErrorKind::kDataMalformed, error.what());
  }
}

}  // namespace rw::pipeline
