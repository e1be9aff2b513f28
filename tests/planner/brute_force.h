// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "planner/list.h"
#include "planner/network.h"
#include "planner/problem.h"

namespace rw::test {

/// The best objective of a small problem on the free track, over all arrangements, all paths and all
/// semi-active orders, by branch and bound; with contention, of all orders on the nodes. It shares the
/// problem's struct with the planner and nothing else.
class BruteForce {
 public:
  /// Only plans better than `above` are looked for.
  BruteForce(const planner::Problem& problem, double above, std::int64_t max_nodes)
      : p_(problem), best_(above), left_(max_nodes) {}

  /// The optimum, or `above` when nothing is better; nullopt when `max_nodes` did not suffice.
  std::optional<double> solve() {
    if (p_.arrangement.empty()) {
      group_of_.assign(static_cast<std::size_t>(p_.size()), -1);
      place(0);
    } else {
      groups_ = p_.arrangement;
      arranged();
    }
    if (left_ <= 0) return std::nullopt;
    return best_;
  }

 private:
  struct Op {
    int node = 0;
    double duration = 0, gap = 0, way = 0, tail = 0;
    int memory = 0;
  };

  void place(int node) {
    if (left_ <= 0) return;
    if (node == p_.size()) {
      groups_.assign(static_cast<std::size_t>(p_.stages()), {});
      for (int i = 0; i < p_.size(); ++i) groups_[group_of_[i]].push_back(i);
      arranged();
      return;
    }
    for (int stage = 0; stage < p_.stages(); ++stage) {
      if (std::count(group_of_.begin(), group_of_.end(), stage) >= p_.stage_sizes[stage]) {
        continue;
      }
      group_of_[node] = stage;
      place(node + 1);
      group_of_[node] = -1;
    }
  }

  void arranged() {
    reductions_.clear();
    for (const auto& group : groups_) {
      double cost = 0;
      for (const int a : group) {
        double sum = 0;
        for (const int b : group) {
          if (a != b && p_.reduction.latency_s.size() > 0) {
            sum += 2 * (p_.reduction.latency_s.at(a, b) +
                        p_.reduction.gradient_bytes /
                            (static_cast<double>(group.size()) * p_.reduction.bandwidth.at(a, b)));
          }
        }
        cost = std::max(cost, sum);
      }
      if (!iteration() && cost > p_.reduction.max_s) return;
      reductions_.push_back(cost);
    }
    paths_.clear();
    planner::List<int> stages;
    extend(stages, 0, 0);
    chosen_.clear();
    used_.assign(static_cast<std::size_t>(p_.stages()), 0);
    choose();
  }

  /// All orders of stages behind stage 0 that the rules allow.
  void extend(planner::List<int>& stages, int furthest, int swaps) {
    if (static_cast<int>(stages.size()) == p_.path_length - 1) {
      planner::List<int> nodes;
      pick_nodes(stages, nodes);
      return;
    }
    for (int s = 1; s < p_.stages(); ++s) {
      if (std::count(stages.begin(), stages.end(), s) > 0) continue;
      if (std::abs(s - furthest) > p_.rules.max_jump) continue;
      const bool back = s < furthest;
      if (back && (s != furthest - 1 || swaps == p_.rules.max_swaps)) continue;
      stages.push_back(s);
      extend(stages, std::max(furthest, s), swaps + (back ? 1 : 0));
      stages.pop_back();
    }
  }

  void pick_nodes(const planner::List<int>& stages, planner::List<int>& nodes) {
    if (nodes.size() == stages.size()) {
      paths_.emplace_back(stages, nodes);
      return;
    }
    for (const int node : groups_[stages[nodes.size()]]) {
      nodes.push_back(node);
      pick_nodes(stages, nodes);
      nodes.pop_back();
    }
  }

  /// A path for each micro-batch; those of one source in rising order, for they are alike.
  void choose() {
    if (left_ <= 0) return;
    const auto job = static_cast<int>(chosen_.size());
    if (job == p_.micro_batches()) {
      order();
      return;
    }
    const bool first = job % p_.micro_batches_per_source == 0;
    for (std::size_t i = first ? 0 : static_cast<std::size_t>(chosen_.back()); i < paths_.size();
         ++i) {
      bool room = true;
      for (const int s : paths_[i].first) room = room && used_[s] < p_.rules.stage_quota;
      if (!room) continue;
      for (const int s : paths_[i].first) ++used_[s];
      chosen_.push_back(static_cast<int>(i));
      choose();
      chosen_.pop_back();
      for (const int s : paths_[i].first) --used_[s];
    }
  }

  void order() {
    jobs_.clear();
    const auto nodes = static_cast<std::size_t>(p_.size());
    load_.assign(nodes, 0);
    for (std::size_t job = 0; job < chosen_.size(); ++job) {
      planner::List<int> path{
          groups_[0][job / static_cast<std::size_t>(p_.micro_batches_per_source)]};
      const auto& inner = paths_[chosen_[job]].second;
      path.insert(path.end(), inner.begin(), inner.end());
      jobs_.push_back(priced(path));
      for (const Op& op : jobs_.back()) {
        load_[op.node] += op.duration + op.gap;
        if (op.memory < 0 && split()) load_[op.node] += weight_s(op.node) + p_.gap_s;
      }
    }
    next_.assign(jobs_.size(), 0);
    ready_.assign(jobs_.size(), 0);
    free_.assign(nodes, 0);
    held_.assign(nodes, 0);
    weights_.assign(nodes, 0);
    trail_.clear();
    // A stage that nobody visits reduces at once.
    descend(0, 0, iteration() ? *std::max_element(reductions_.begin(), reductions_.end()) : 0);
  }

  planner::List<Op> priced(const planner::List<int>& path) const {
    const auto length = path.size();
    planner::List<Op> out;
    for (std::size_t k = 0; k <= 2 * length; ++k) {
      const bool last = p_.loss_at == planner::LossAt::kLast;
      const int node = k < length    ? path[k]
                       : k == length ? path[last ? length - 1 : 0]
                                     : path[2 * length - k];
      const double unit = p_.nodes[node].forward_s;
      Op op{node, unit, k == 0 ? p_.gap_first_forward_s : p_.gap_s, 0, 0, 1};
      if (k == length) {
        op.duration = p_.loss_factor * unit;
        op.memory = 0;
      } else if (k > length) {
        op.duration = p_.backward_factor * unit;
        op.memory = -1;
      }
      out.push_back(op);
    }
    for (std::size_t k = out.size(); k-- > 0;) {
      const bool last = k + 1 == out.size();
      if (!last) out[k].way = p_.transfer_s.at(out[k].node, out[k + 1].node);
      out[k].tail = out[k].duration + std::max(out[k].memory < 0 ? reduction_of(out[k].node) : 0,
                                               last ? 0 : out[k].way + out[k + 1].tail);
    }
    return out;
  }

  double reduction_of(int node) const {
    if (!iteration()) return 0;
    for (std::size_t s = 0; s < groups_.size(); ++s) {
      if (std::count(groups_[s].begin(), groups_[s].end(), node) > 0) return reductions_[s];
    }
    return 0;
  }

  /// Adds operations in the order of their starts, so that every schedule comes once.
  void descend(double last_start, std::size_t last_job, double done_by) {
    if (--left_ <= 0) return;
    double bound = done_by;
    bool complete = true;
    for (std::size_t job = 0; job < jobs_.size(); ++job) {
      if (next_[job] == jobs_[job].size()) continue;
      complete = false;
      bound = std::max(bound, std::max(ready_[job], last_start) + jobs_[job][next_[job]].tail);
    }
    for (const int left : weights_) complete = complete && left == 0;
    if (complete) {
      if (p_.contention != planner::Contention::kNone && bound < best_) bound = timed();
      best_ = std::min(best_, bound);
      return;
    }
    for (std::size_t node = 0; node < free_.size(); ++node) {
      // All that is left to do here, one after the other.
      if (load_[node] > 0) {
        bound =
            std::max(bound, free_[node] + load_[node] - std::max(p_.gap_s, p_.gap_first_forward_s));
      }
    }
    if (bound >= best_ - 1e-9) return;
    for (std::size_t job = 0; job < jobs_.size(); ++job) {
      if (next_[job] == jobs_[job].size()) continue;
      const Op& op = jobs_[job][next_[job]];
      if (op.memory > 0 && held_[op.node] == p_.nodes[op.node].memory) continue;
      const double start = std::max(ready_[job], free_[op.node]);
      if (start < last_start || (start == last_start && job < last_job)) continue;
      const double ready = ready_[job];
      const double free = free_[op.node];
      const double end = start + op.duration;
      ready_[job] = end + op.way;
      free_[op.node] = end + op.gap;
      const bool leaves = split() && op.memory < 0;
      held_[op.node] += leaves ? 0 : op.memory;
      weights_[op.node] += leaves ? 1 : 0;
      load_[op.node] -= op.duration + op.gap;
      trail_.emplace_back(op.node, static_cast<int>(job));
      ++next_[job];
      descend(start, job, std::max(done_by, op.memory < 0 ? end + reduction_of(op.node) : end));
      --next_[job];
      trail_.pop_back();
      load_[op.node] += op.duration + op.gap;
      weights_[op.node] -= leaves ? 1 : 0;
      held_[op.node] -= leaves ? 0 : op.memory;
      free_[op.node] = free;
      ready_[job] = ready;
    }
    for (std::size_t node = 0; node < weights_.size(); ++node) {
      if (weights_[node] > 0) run_weight(static_cast<int>(node), last_start, last_job, done_by);
    }
  }

  /// One of the weight gradients that wait on a node: they are all alike.
  void run_weight(int node, double last_start, std::size_t last_job, double done_by) {
    const std::size_t turn = jobs_.size() + static_cast<std::size_t>(node);
    const double start = free_[node];
    if (start < last_start || (start == last_start && turn < last_job)) return;
    const double end = start + weight_s(node);
    free_[node] = end + p_.gap_s;
    --held_[node];
    --weights_[node];
    load_[node] -= weight_s(node) + p_.gap_s;
    trail_.emplace_back(node, Network::kWeight);
    descend(start, turn, std::max(done_by, end + reduction_of(node)));
    trail_.pop_back();
    load_[node] += weight_s(node) + p_.gap_s;
    ++weights_[node];
    ++held_[node];
    free_[node] = start;
  }

  /// The objective of the order on the nodes that was just completed, with contention.
  double timed() const {
    Network network(p_.contention == planner::Contention::kFair, p_.size());
    for (const auto& ops : jobs_) {
      planner::List<Network::Op> chain;
      for (const Op& op : ops) chain.push_back({op.node, op.duration, op.gap, op.way});
      network.jobs.push_back(chain);
    }
    for (int node = 0; node < p_.size(); ++node) {
      network.weights.push_back(split() ? weight_s(node) : 0);
      network.gaps.push_back(p_.gap_s);
    }
    for (const auto& [node, job] : trail_) network.order[node].push_back(job);
    const auto ends = network.ends();
    double out = iteration() ? *std::max_element(reductions_.begin(), reductions_.end()) : 0;
    for (int node = 0; node < p_.size(); ++node) {
      if (ends[node] > 0) out = std::max(out, ends[node] + reduction_of(node));
    }
    return out;
  }

  bool split() const { return p_.weight_factor.has_value(); }
  double weight_s(int node) const { return *p_.weight_factor * p_.nodes[node].forward_s; }
  bool iteration() const { return p_.objective == planner::Objective::kIteration; }

  const planner::Problem& p_;
  double best_;
  std::int64_t left_;
  planner::List<int> group_of_;
  planner::List<planner::List<int>> groups_;
  planner::List<double> reductions_;
  planner::List<std::pair<planner::List<int>, planner::List<int>>> paths_;  // stages, nodes
  planner::List<int> chosen_, used_;
  planner::List<planner::List<Op>> jobs_;
  planner::List<std::size_t> next_;
  planner::List<double> ready_, free_, load_;
  planner::List<int> held_, weights_;
  planner::List<std::pair<int, int>>
      trail_;  // (node, job or kWeight), in the order of their starts
};

}  // namespace rw::test
