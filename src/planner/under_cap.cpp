// Part of Ropewalk, MIT licence.
#include "planner/under_cap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace rw::planner {

namespace {

constexpr int kExchanges = 16;                          // of a go_on()
constexpr int kShortest = 20000, kLongest = 2'000'000;  // exchanges of a start
constexpr double kHot = 0.3, kCold = 1e-3;              // shares of the cap

/// What a node takes in a stage of `size`, with the cheapest peers that there are.
double least_of(const Problem& p, int node, int size) {
  if (size < 2) return 0;
  List<double> peers;
  for (int other = 0; other < p.size(); ++other) {
    if (other == node) continue;
    peers.push_back(2 *
                    (p.reduction.latency_s.at(node, other) +
                     p.reduction.gradient_bytes / size / p.reduction.bandwidth.at(node, other)));
  }
  std::nth_element(peers.begin(), peers.begin() + (size - 2), peers.end());
  return std::accumulate(peers.begin(), peers.begin() + (size - 1), 0.0);
}

}  // namespace

bool has_cap(const Problem& problem) {
  return problem.objective == Objective::kMakespan && problem.arrangement.empty() &&
         std::isfinite(problem.reduction.max_s) && problem.reduction.latency_s.size() > 0;
}

double largest_reduction(const Problem& problem, const Arrangement& arrangement) {
  double out = 0;
  for (const auto& group : arrangement.members()) {
    out = std::max(out, reduction_s(problem.reduction, group));
  }
  return out;
}

bool keeps_cap(const Problem& problem, const Arrangement& arrangement) {
  return largest_reduction(problem, arrangement) <= problem.reduction.max_s + kTolerance;
}

double least_largest_reduction(const Problem& problem) {
  if (problem.reduction.latency_s.size() == 0) return 0;
  std::map<int, int> stages;  // by size
  for (const int size : problem.stage_sizes) ++stages[size];
  double out = 0;
  List<double> anywhere = filled(problem.size(), std::numeric_limits<double>::infinity());
  for (const auto& [size, count] : stages) {
    List<double> least;
    for (int node = 0; node < problem.size(); ++node) {
      least.push_back(least_of(problem, node, size));
      anywhere[node] = std::min(anywhere[node], least[node]);
    }
    std::sort(least.begin(), least.end());
    out = std::max(out, least[size * count - 1]);  // so many nodes are in stages of this size
  }
  return std::max(out, *std::max_element(anywhere.begin(), anywhere.end()));
}

CapSearch::CapSearch(const Problem& problem, const List<char>& may_be_source,
                     const List<char>& could_be_source, Dice dice)
    : p_(&problem),
      may_be_source_(may_be_source),
      could_be_source_(could_be_source),
      dice_(dice),
      cap_(problem.reduction.max_s + kTolerance / 2),
      latency_(problem.size()),
      bytes_(problem.size()),
      best_reduction_(std::numeric_limits<double>::infinity()),
      sums_(filled(problem.size(), 0.0)),
      was_(sums_) {
  for (int a = 0; a < problem.size(); ++a) {
    for (int b = 0; b < problem.size(); ++b) {
      if (a == b) continue;
      latency_.at(a, b) = 2 * problem.reduction.latency_s.at(a, b);
      bytes_.at(a, b) = 2 * problem.reduction.gradient_bytes / problem.reduction.bandwidth.at(a, b);
    }
  }
  start();
}

double CapSearch::pair(int stage, int a, int b) const {
  return latency_.at(a, b) + bytes_.at(a, b) / static_cast<double>(now_.group(stage).size());
}

double CapSearch::over(int stage) const {
  double out = 0;
  for (const int node : now_.group(stage)) out += std::max(0.0, sums_[node] - cap_);
  return out;
}

/// A random arrangement.
void CapSearch::start() {
  const auto& fits = starts_ % 2 == 0 ? may_be_source_ : could_be_source_;
  List<int> nodes(p_->nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  for (int i = p_->size() - 1; i > 0; --i) std::swap(nodes[i], nodes[dice_.below(i + 1)]);
  std::stable_partition(nodes.begin(), nodes.end(), [&](int node) { return fits[node] != 0; });
  List<List<int>> members;
  auto next = nodes.begin();
  for (const int size : p_->stage_sizes) {
    members.emplace_back(next, next + size);
    next += size;
  }
  now_ = Arrangement(std::move(members));
  overs_.clear();
  for (int stage = 0; stage < p_->stages(); ++stage) {
    for (const int a : now_.group(stage)) {
      sums_[a] = 0;
      for (const int b : now_.group(stage)) {
        if (a != b) sums_[a] += pair(stage, a, b);
      }
    }
    overs_.push_back(over(stage));
  }
  tries_ = std::min(kLongest, kShortest << std::min(starts_ / 2, 16));
  tried_ = 0;
  ++starts_;
  heat_ = kHot * cap_;
  cooling_ = std::pow(kCold / kHot, 1.0 / tries_);
}

/// Two nodes of different stages change places; false when heat does not allow it.
bool CapSearch::exchange(int a, int b) {
  const int from = now_.stage_of(a), to = now_.stage_of(b);
  for (const int stage : {from, to}) {
    for (const int node : now_.group(stage)) was_[node] = sums_[node];
  }
  sums_[a] = sums_[b] = 0;
  for (const int node : now_.group(from)) {
    if (node == a) continue;
    sums_[node] += pair(from, node, b) - pair(from, node, a);
    sums_[b] += pair(from, b, node);
  }
  for (const int node : now_.group(to)) {
    if (node == b) continue;
    sums_[node] += pair(to, node, a) - pair(to, node, b);
    sums_[a] += pair(to, a, node);
  }
  now_.swap(a, b);
  const double one = over(from), other = over(to);
  const double change = one + other - overs_[from] - overs_[to];
  if (change <= 0 || change < -heat_ * std::log(dice_.uniform())) {
    overs_[from] = one;
    overs_[to] = other;
    return true;
  }
  now_.swap(a, b);
  for (const int stage : {from, to}) {
    for (const int node : now_.group(stage)) sums_[node] = was_[node];
  }
  return false;
}

bool CapSearch::go_on() {
  if (tried_ >= tries_) start();
  const auto& fits = starts_ % 2 == 1 ? may_be_source_ : could_be_source_;
  bool changed = false;
  for (int i = 0; i < kExchanges; ++i) {
    ++tried_;
    heat_ *= cooling_;
    const int a = dice_.below(p_->size()), b = dice_.below(p_->size());
    const int from = now_.stage_of(a), to = now_.stage_of(b);
    if (from == to || (from == 0 && fits[b] == 0) || (to == 0 && fits[a] == 0)) continue;
    changed = exchange(a, b) || changed;
    if (changed && *std::max_element(overs_.begin(), overs_.end()) <= 0) break;
  }
  if (!changed) return false;
  if (*std::max_element(sums_.begin(), sums_.end()) >= best_reduction_) return false;
  const double reduction = largest_reduction(*p_, now_);  // of rounding that sums have gathered
  if (reduction >= best_reduction_) return false;
  best_reduction_ = reduction;
  best_ = now_;
  return reduction <= p_->reduction.max_s + kTolerance;
}

}  // namespace rw::planner
