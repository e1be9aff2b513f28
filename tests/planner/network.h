// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <limits>
#include <utility>

#include "planner/list.h"

namespace rw::test {

/// When what has a fixed order on every node ends if transfers share the nodes' NICs: written from
/// docs/formats/problem.md alone, in the plainest way, to judge the planner by.
class Network {
 public:
  static constexpr int kWeight = -1;
  struct Op {
    int node = 0;
    double duration = 0, gap = 0, way = 0;  // way: to the next of its job
  };

  Network(bool fair, int nodes) : order(static_cast<std::size_t>(nodes)), fair_(fair) {}

  planner::List<planner::List<Op>> jobs;
  planner::List<double> weights, gaps;      // per node: what a weight gradient takes, and its gap
  planner::List<planner::List<int>> order;  // per node: jobs, or kWeight

  /// Per node the end of its last operation.
  planner::List<double> ends() {
    const std::size_t nodes = order.size();
    free_.assign(nodes, 0);
    last_.assign(nodes, 0);
    out_.assign(nodes, 0);
    in_ = out_;
    turn_.assign(nodes, 0);
    next_.assign(jobs.size(), 0);
    arrived_.assign(jobs.size(), 0);
    while (start_what_can() || pass_one()) {
    }
    return last_;
  }

 private:
  struct Way {
    double asked = 0;
    std::size_t job = 0;
    int from = 0, to = 0;
    double left = 0;
    bool under_way = false;
  };

  bool start_what_can() {
    bool any = false;
    for (std::size_t node = 0; node < order.size(); ++node) {
      while (turn_[node] < order[node].size() && start(node, order[node][turn_[node]])) {
        ++turn_[node];
        any = true;
      }
    }
    return any;
  }

  bool start(std::size_t node, int job) {
    if (job == kWeight) {
      last_[node] = free_[node] + weights[node];
      free_[node] = last_[node] + gaps[node];
      return true;
    }
    if (arrived_[job] < 0) return false;
    const Op& op = jobs[job][next_[job]];
    if (static_cast<std::size_t>(op.node) != node) return false;
    last_[node] = std::max(free_[node], arrived_[job]) + op.duration;
    free_[node] = last_[node] + op.gap;
    arrived_[job] = -1;
    if (++next_[job] == jobs[job].size()) return true;
    const int to = jobs[job][next_[job]].node;
    if (to == op.node || op.way == 0) {
      arrived_[job] = last_[node] + op.way;
    } else {
      ways_.push_back({last_[node], static_cast<std::size_t>(job), op.node, to, op.way, false});
    }
    return true;
  }

  /// The next thing that happens to a transfer; false when there is none.
  bool pass_one() {
    if (ways_.empty()) return false;
    return fair_ ? pass_fairly() : pass_in_turn();
  }

  bool pass_in_turn() {
    const auto first = std::min_element(ways_.begin(), ways_.end(), [](const Way& a, const Way& b) {
      return std::pair(a.asked, a.job) < std::pair(b.asked, b.job);
    });
    const double end = std::max({first->asked, out_[first->from], in_[first->to]}) + first->left;
    out_[first->from] = in_[first->to] = end;
    arrived_[first->job] = end;
    ways_.erase(first);
    return true;
  }

  double rate(const Way& way) const {
    double out = 0, in = 0;
    for (const Way& other : ways_) {
      if (other.under_way && other.from == way.from) out += 1;
      if (other.under_way && other.to == way.to) in += 1;
    }
    return 1 / std::max(out, in);
  }

  bool pass_fairly() {
    double then = std::numeric_limits<double>::infinity();
    Way* which = nullptr;
    for (Way& way : ways_) {
      const double at = way.under_way ? now_ + std::max(0.0, way.left) / rate(way) : way.asked;
      if (at < then) {
        then = at;
        which = &way;
      }
    }
    planner::List<double> rates;
    for (const Way& way : ways_) rates.push_back(way.under_way ? rate(way) : 0);
    for (std::size_t i = 0; i < ways_.size(); ++i) ways_[i].left -= (then - now_) * rates[i];
    now_ = then;
    if (which->under_way) {
      arrived_[which->job] = then;
      ways_.erase(ways_.begin() + (which - ways_.data()));
    } else {
      which->under_way = true;
    }
    return true;
  }

  bool fair_;
  double now_ = 0;
  planner::List<double> free_, last_, out_, in_, arrived_;
  planner::List<std::size_t> turn_, next_;
  planner::List<Way> ways_;
};

}  // namespace rw::test
