// Part of Ropewalk, MIT licence.
#include "planner/seeds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "planner/outlook.h"

namespace rw::planner {

namespace {

/// How far a group is from what is wanted: what it takes beyond the cap, or all that it takes.
double excess(const Problem& p, const List<int>& group) {
  const double cost = reduction_s(p.reduction, group);
  if (p.objective == Objective::kIteration) return cost;
  return std::max(0.0, cost - p.reduction.max_s);
}

/// The cheapest nodes of the given stages for one job, by dynamic programming.
List<int> cheapest_nodes(const Problem& p, const Arrangement& arrangement, int source,
                         const List<int>& stages, const List<double>& price) {
  const double work = 1 + p.backward_factor;
  const auto hop = [&](int a, int b) { return p.transfer_s.at(a, b) + p.transfer_s.at(b, a); };
  List<List<double>> value(stages.size());
  List<List<int>> from(stages.size());
  for (std::size_t k = 0; k < stages.size(); ++k) {
    for (const int node : arrangement.group(stages[k])) {
      double best = k == 0 ? hop(source, node) : std::numeric_limits<double>::infinity();
      int best_from = -1;
      for (std::size_t i = 0; k > 0 && i < value[k - 1].size(); ++i) {
        const int before = arrangement.group(stages[k - 1])[i];
        const double here = value[k - 1][i] + hop(before, node);
        if (here < best) {
          best = here;
          best_from = static_cast<int>(i);
        }
      }
      best += work * p.nodes[node].forward_s + price[node];
      if (k + 1 == stages.size() && p.loss_at == LossAt::kSource) best += hop(node, source);
      value[k].push_back(best);
      from[k].push_back(best_from);
    }
  }
  List<int> out(stages.size() + 1, source);
  if (stages.empty()) return out;
  const auto& last = value.back();
  int at = static_cast<int>(std::min_element(last.begin(), last.end()) - last.begin());
  for (std::size_t k = stages.size(); k-- > 0;) {
    out[k + 1] = arrangement.group(stages[k])[at];
    at = from[k][at];
  }
  return out;
}

}  // namespace

List<char> could_be_sources(const Problem& p, Track track) {
  const int slots = track == Track::kStrict ? strict_slots(p) : 0;
  List<char> out;
  for (const Node& node : p.nodes) out.push_back(slots == 0 || node.memory == slots ? 1 : 0);
  return out;
}

/// A source is on all its micro-batches' way.
List<char> may_be_sources(const Problem& p, Track track) {
  constexpr double kAboutAsFast = 1.25;
  const int slots = track == Track::kStrict ? strict_slots(p) : 0;
  const auto fits = [&](const Node& node) { return slots == 0 || node.memory == slots; };
  List<double> forwards;
  for (const Node& node : p.nodes) {
    if (fits(node)) forwards.push_back(node.forward_s);
  }
  const auto last = forwards.begin() + (p.sources() - 1);
  std::nth_element(forwards.begin(), last, forwards.end());
  List<char> out;
  for (const Node& node : p.nodes) {
    out.push_back(fits(node) && node.forward_s <= kAboutAsFast * *last ? 1 : 0);
  }
  return out;
}

Arrangement seed_arrangement(const Problem& p, Track track, Dice& dice, int cap_tries,
                             int outlook_tries) {
  if (!p.arrangement.empty()) return Arrangement(p.arrangement);
  List<int> nodes(p.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  for (int i = p.size() - 1; i > 0; --i) std::swap(nodes[i], nodes[dice.below(i + 1)]);
  const auto starts = may_be_sources(p, track);
  const auto fits = [&](int node) { return starts[node] != 0; };
  std::stable_partition(nodes.begin(), nodes.end(), fits);
  List<List<int>> members;
  auto next = nodes.begin();
  for (const int size : p.stage_sizes) {
    members.emplace_back(next, next + size);
    next += size;
  }
  Arrangement out(std::move(members));
  List<double> excesses;
  for (const auto& group : out.members()) excesses.push_back(excess(p, group));
  double sum = std::accumulate(excesses.begin(), excesses.end(), 0.0);
  double heat = 0.1 * sum / p.stages();
  for (int i = 0; i < cap_tries; ++i) {
    if (p.objective == Objective::kMakespan && sum <= 0) break;
    const int a = dice.below(p.size());
    const int b = dice.below(p.size());
    const int from = out.stage_of(a);
    const int to = out.stage_of(b);
    if (from == to || (from == 0 && !fits(b)) || (to == 0 && !fits(a))) continue;
    out.swap(a, b);
    const double one = excess(p, out.group(from));
    const double other = excess(p, out.group(to));
    const double change = one + other - excesses[from] - excesses[to];
    heat *= 1 - 6.0 / cap_tries;
    if (change > 0 && change >= -heat * std::log(dice.uniform())) {
      out.swap(a, b);
      continue;
    }
    excesses[from] = one;
    excesses[to] = other;
    sum = std::accumulate(excesses.begin(), excesses.end(), 0.0);
  }
  if (outlook_tries > 0 && p.path_length > 1) improve_outlook(p, starts, dice, outlook_tries, out);
  return out;
}

Draft seed_paths(const Problem& p, Track track, const Arrangement& arrangement) {
  const auto jobs = jobs_of(p, track);
  const auto stages = shared_stages(p, track);
  auto visits = filled(p.stages(), 0.0);
  for (const auto& chosen : stages) {
    for (const int stage : chosen) visits[stage] += 1;
  }
  const int slots = strict_slots(p);
  List<int> routed(p.nodes.size());
  List<double> price(p.nodes.size());
  Draft out{arrangement, {}, {}};
  for (std::size_t job = 0; job < jobs.size(); ++job) {
    for (int node = 0; node < p.size(); ++node) {
      const int stage = arrangement.stage_of(node);
      const double fair = visits[stage] / static_cast<double>(arrangement.group(stage).size());
      price[node] = 4 * p.nodes[node].forward_s * routed[node] / std::max(1.0, fair);
      if (track == Track::kStrict && routed[node] >= slots) price[node] = 1e9;
    }
    const int source = arrangement.group(0)[jobs[job].source];
    out.paths.push_back(cheapest_nodes(p, arrangement, source, stages[job], price));
    for (const int node : out.paths.back()) ++routed[node];
  }
  return out;
}

}  // namespace rw::planner
