// Part of Ropewalk, MIT licence.
#include "planner/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "planner/source_order.h"

namespace rw::planner {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Shortest walks that start at a node, never return to it, and never go back and forth between two.
class Walks {
 public:
  /// `step(from, to)`: what going to `to` and being there costs; kInfinity where it may not be.
  template <class Step>
  Walks(int nodes, const Step& step) : nodes_(nodes), steps_(filled(nodes, List<double>())) {
    for (int from = 0; from < nodes; ++from) {
      for (int to = 0; to < nodes; ++to) {
        steps_[from].push_back(from == to ? kInfinity : step(from, to));
      }
    }
  }
  /// Of `steps` >= 1 steps from `source`, `closing` behind the last node. Takes nodes² · steps.
  template <class Closing>
  double shortest(int source, int steps, const Closing& closing) const {
    Ways now(nodes_), next(nodes_);
    for (int to = 0; to < nodes_; ++to) {
      now.first[to] = steps_[source][to];
      now.from[to] = source;
    }
    for (int k = 1; k < steps; ++k) {
      next = Ways(nodes_);
      for (int from = 0; from < nodes_; ++from) {
        if (now.first[from] < kInfinity) go_on(now, from, next);
      }
      next.first[source] = next.second[source] = kInfinity;
      std::swap(now, next);
    }
    double best = kInfinity;
    for (int node = 0; node < nodes_; ++node) {
      best = std::min(best, now.first[node] + closing(node));
    }
    return best;
  }

 private:
  /// Per node the best two ways there that come from different nodes, so that one of them does not come
  /// from where the next step goes.
  struct Ways {
    explicit Ways(int nodes)
        : first(filled(nodes, kInfinity)), second(first), from(filled(nodes, -1.0)) {}
    List<double> first, second;
    List<double> from;  // a node of the first; a double, so that the loop over all three vectorises
  };
  void go_on(const Ways& now, int at, Ways& next) const {
    const double* step = steps_[at].data();
    double* first = next.first.data();
    double* second = next.second.data();
    double* from = next.from.data();
    const double here = now.first[at];
    const int before = static_cast<int>(now.from[at]);
    const double first_there = first[before];
    const double second_there = second[before];
    const double from_there = from[before];
    for (int to = 0; to < nodes_; ++to) {
      const double value = here + step[to];
      const double best = first[to];
      second[to] = std::min(second[to], std::max(best, value));
      from[to] = value < best ? at : from[to];
      first[to] = std::min(best, value);
    }
    // Where it came from, only by the other way.
    const double value = now.second[at] + step[before];
    second[before] = std::min(second_there, std::max(first_there, value));
    from[before] = value < first_there ? at : from_there;
    first[before] = std::min(first_there, value);
  }

  int nodes_;
  List<List<double>> steps_;  // [from][to]
};

class Bound {
 public:
  Bound(const Problem& problem, const Arrangement* arrangement)
      : p_(problem),
        arrangement_(arrangement),
        trips_(walks(1 + problem.backward_factor, [&](int a, int b) { return hop(a, b); })) {}

  double hop(int a, int b) const { return p_.transfer_s.at(a, b) + p_.transfer_s.at(b, a); }
  double unit(int node) const { return p_.nodes[node].forward_s; }
  bool may_be_source(int node) const {
    return arrangement_ == nullptr || arrangement_->stage_of(node) == 0;
  }
  bool may_be_inner(int node) const {
    return arrangement_ == nullptr || arrangement_->stage_of(node) > 0;
  }

  /// Whether a path may go from one inner node to the next (the first one: from the source). With
  /// swaps a path may stand one stage below the highest.
  bool may_follow(int from, int to) const {
    if (arrangement_ == nullptr) return true;
    const int a = arrangement_->stage_of(from);
    const int b = arrangement_->stage_of(to);
    const int slack = p_.rules.max_swaps > 0 && a > 0 ? 1 : 0;
    return b != a && b >= a - slack && b - a <= p_.rules.max_jump + slack;
  }

  /// The least round trip of a micro-batch, from the start of its F to the end of its B.
  double shortest_trip(int source) const {
    const double own = (1 + p_.backward_factor) * unit(source);
    if (p_.path_length == 1) return own + p_.loss_factor * unit(source);
    const bool back = p_.loss_at == LossAt::kSource;
    const auto loss = [&](int node) { return p_.loss_factor * unit(back ? source : node); };
    return own + trips_.shortest(source, p_.path_length - 1, [&](int last) {
      return loss(last) + (back ? hop(last, source) : 0);
    });
  }

  /// What goes out from the end of a micro-batch's F on the source to its loss there, and what comes back,
  /// walked the other way round, from the end of the loss to the B.
  Walks ways_out() const {
    return walks(1, [&](int from, int to) { return p_.transfer_s.at(from, to); });
  }
  Walks ways_back() const {
    return walks(p_.backward_factor, [&](int from, int to) { return p_.transfer_s.at(to, from); });
  }

  /// Whether the order of a source bounds anything: with a micro-batch's loss there and whole backwards.
  bool has_order_bound() const {
    return p_.path_length > 1 && p_.loss_at == LossAt::kSource && !p_.weight_factor;
  }
  /// Bound 2, order of a source, in seconds, but no less than `floor`; `out` and `back`: ways_out, ways_back.
  double order_bound(int node, const Walks& out, const Walks& back, double floor) const {
    SourceWork work;
    work.micro_batches = p_.micro_batches_per_source;
    work.memory = p_.nodes[node].memory;
    work.forward_s = unit(node);
    work.loss_s = p_.loss_factor * unit(node);
    work.backward_s = p_.backward_factor * unit(node);
    work.gap_forward_s = p_.gap_first_forward_s;
    work.gap_s = p_.gap_s;
    const auto& way = p_.transfer_s;
    const int steps = p_.path_length - 1;
    work.out_s = out.shortest(node, steps, [&](int last) { return way.at(last, node); });
    work.back_s = back.shortest(node, steps, [&](int last) { return way.at(node, last); });
    work.trip_s = shortest_trip(node);
    return source_order_end(work, floor);
  }

  /// docs/planner.md, bounds 1 and 2: what a source needs for its micro-batches with `trip` as the
  /// least time of any of them.
  double source_bound(int node, double trip) const {
    const int count = p_.micro_batches_per_source;
    const int memory = p_.nodes[node].memory;
    const double c = unit(node);
    const bool loss_here = p_.loss_at == LossAt::kSource || p_.path_length == 1;
    const double loss = loss_here ? p_.loss_factor * c + p_.gap_s : 0;
    // What keeps the memory of a micro-batch: its B, or split its W.
    const double last = p_.weight_factor.value_or(p_.backward_factor) * c;
    const double weight = weight_and_gap(node);
    const double round = trip + weight;
    const double between_ends = last + c + p_.gap_s + p_.gap_first_forward_s;
    const double pair = (1 + p_.backward_factor) * c + p_.gap_s + p_.gap_first_forward_s;
    double best = count * (pair + weight + loss) - p_.gap_s;
    best = std::max(best, round + (count - 1) * (p_.backward_factor * c + p_.gap_s + weight));
    for (int chain = 0; count - memory - 1 - chain * memory >= 0; ++chain) {
      const int between = count - memory - 1 - chain * memory;
      best = std::max(best, (chain + 2) * round + (chain + 1) * p_.gap_s + between * between_ends);
    }
    return best;
  }

  /// Split: what a W adds behind its B; else 0.
  double weight_and_gap(int node) const {
    return p_.weight_factor ? *p_.weight_factor * unit(node) + p_.gap_s : 0;
  }

  /// A group of `size` with this node takes at least so long to reduce.
  double least_reduction(int node, int size) const {
    if (p_.reduction.latency_s.size() == 0 || size < 2) return 0;
    List<double> peers;
    for (int other = 0; other < p_.size(); ++other) {
      if (other == node) continue;
      peers.push_back(
          2 * (p_.reduction.latency_s.at(node, other) +
               p_.reduction.gradient_bytes / (size * p_.reduction.bandwidth.at(node, other))));
    }
    std::nth_element(peers.begin(), peers.begin() + (size - 1), peers.end());
    return std::accumulate(peers.begin(), peers.begin() + (size - 1), 0.0);
  }

  /// Least times from any source's start to the arrival at each inner node, and back.
  void reach() {
    const auto none = [](int) { return 0.0; };
    head_ = reach_by(1.0, none, [&](int from, int to) { return p_.transfer_s.at(from, to); });
    double least = kInfinity;
    for (int node = 0; node < p_.size(); ++node) least = std::min(least, weight_and_gap(node));
    // On any arrangement the nodes that B's come from next may be sources or not.
    const auto last_weight = [&](int node) {
      return arrangement_ == nullptr ? least : weight_and_gap(node);
    };
    tail_ = reach_by(p_.backward_factor, last_weight,
                     [&](int from, int to) { return p_.transfer_s.at(to, from); });
  }
  double head(int node) const { return head_[node]; }
  double tail(int node) const { return tail_[node]; }

 private:
  /// Walks over inner nodes: `way` to each, `factor` forwards there.
  template <class Way>
  Walks walks(double factor, const Way& way) const {
    return Walks(p_.size(), [&](int from, int to) {
      return may_be_inner(to) && may_follow(from, to) ? way(from, to) + factor * unit(to)
                                                      : kInfinity;
    });
  }

  /// Dijkstra from all sources at once; what a node costs itself is paid when it is left, on a source
  /// with what `extra` says.
  template <class Extra, class Way>
  List<double> reach_by(double factor, const Extra& extra, const Way& way) const {
    const auto n = static_cast<std::size_t>(p_.size());
    List<double> out(n, kInfinity);
    List<char> done(n, 0);
    if (arrangement_ == nullptr) {
      // Any other node may be the source, so the nearest step is the best way.
      for (int to = 0; to < p_.size(); ++to) {
        for (int from = 0; from < p_.size(); ++from) {
          if (from == to) continue;
          out[to] = std::min(out[to], extra(from) + factor * unit(from) + way(from, to));
        }
      }
      return out;
    }
    for (int to = 0; to < p_.size(); ++to) {
      for (const int from : arrangement_->group(0)) {
        if (from == to) continue;
        out[to] = std::min(out[to], extra(from) + factor * unit(from) + way(from, to));
      }
      if (!may_be_inner(to)) done[to] = 1;
    }
    for (;;) {
      int at = -1;
      for (int i = 0; i < p_.size(); ++i) {
        if (done[i] == 0 && (at < 0 || out[i] < out[at])) at = i;
      }
      if (at < 0) return out;
      done[at] = 1;
      for (int to = 0; to < p_.size(); ++to) {
        if (done[to] != 0) continue;
        out[to] = std::min(out[to], out[at] + factor * unit(at) + way(at, to));
      }
    }
  }

  const Problem& p_;
  const Arrangement* arrangement_;
  Walks trips_;
  List<double> head_, tail_;
};

/// Visits that a node can take in a plan that ends at `end` (docs/planner.md, bound 3): what follows
/// its last operation of all takes `after`, what follows its last B `behind`.
int visits_by(const Problem& p, const Bound& bound, int node, double end, double after,
              double behind) {
  const double each = (1 + p.backward_factor) * bound.unit(node) + 2 * p.gap_s;
  const auto fitting = [&](double rest, double one) {
    const double room = end - bound.head(node) - rest + p.gap_s + 1e-9;
    return room < one ? 0 : static_cast<int>(std::min(room / one, 1.0 * p.micro_batches()));
  };
  if (!p.weight_factor) return fitting(std::max(after, behind), each);
  return std::min(fitting(behind, each), fitting(after, each + bound.weight_and_gap(node)));
}

/// Least end for which `enough` holds; it holds for all later ones.
template <class Enough>
double first_end(double from, const Enough& enough) {
  if (enough(from)) return from;
  double low = from;
  double high = std::max(1.0, 2 * from);
  while (!enough(high)) {
    low = high;
    high *= 2;
    if (high > 1e12) return from;
  }
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return low;
}

double bound_on(const Problem& p, const Arrangement& arrangement, const Bound& bound) {
  const bool iteration = p.objective == Objective::kIteration;
  List<double> reductions;
  for (const auto& group : arrangement.members()) {
    reductions.push_back(iteration ? reduction_s(p.reduction, group) : 0);
  }
  double best = *std::max_element(reductions.begin(), reductions.end());
  for (const int source : arrangement.group(0)) {
    best = std::max(best, bound.source_bound(source, bound.shortest_trip(source)) + reductions[0]);
  }
  const std::int64_t wanted = std::int64_t{p.micro_batches()} * (p.path_length - 1);
  best = first_end(best, [&](double end) {
    std::int64_t room = 0;
    for (int stage = 1; stage < p.stages(); ++stage) {
      std::int64_t here = 0;
      for (const int node : arrangement.group(stage)) {
        const double behind = bound.tail(node) + reductions[0];
        here += visits_by(p, bound, node, end, reductions[stage], behind);
      }
      room += std::min<std::int64_t>({here, p.rules.stage_quota, p.micro_batches()});
    }
    return room >= wanted;
  });
  if (!bound.has_order_bound()) return best;
  const Walks out = bound.ways_out();
  const Walks back = bound.ways_back();
  for (const int source : arrangement.group(0)) {
    best =
        std::max(best, bound.order_bound(source, out, back, best - reductions[0]) + reductions[0]);
  }
  return best;
}

double bound_on_any(const Problem& p, const Bound& bound) {
  const bool iteration = p.objective == Objective::kIteration;
  const int sources = p.sources();
  List<double> as_source;
  List<double> first_reductions;
  double best = 0;
  for (int node = 0; node < p.size(); ++node) {
    first_reductions.push_back(iteration ? bound.least_reduction(node, sources) : 0);
    as_source.push_back(bound.source_bound(node, bound.shortest_trip(node)) +
                        first_reductions.back());
  }
  for (const int size : p.stage_sizes) {
    if (!iteration) break;
    List<double> all;
    for (int node = 0; node < p.size(); ++node) all.push_back(bound.least_reduction(node, size));
    std::nth_element(all.begin(), all.begin() + (size - 1), all.end());
    best = std::max(best, all[size - 1]);
  }
  const double after_sources = *std::min_element(first_reductions.begin(), first_reductions.end());
  const std::int64_t wanted = std::int64_t{p.micro_batches()} * (p.path_length - 1);
  List<int> allowed;
  return first_end(best, [&](double end) {
    // Enough nodes can be sources; those of them that would be the least use elsewhere are.
    allowed.clear();
    std::int64_t room = 0;
    for (int node = 0; node < p.size(); ++node) {
      const int visits = visits_by(p, bound, node, end, 0, bound.tail(node) + after_sources);
      room += visits;
      if (as_source[node] <= end) allowed.push_back(visits);
    }
    if (static_cast<int>(allowed.size()) < sources) return false;
    std::nth_element(allowed.begin(), allowed.begin() + (sources - 1), allowed.end());
    room -= std::accumulate(allowed.begin(), allowed.begin() + sources, std::int64_t{0});
    return room >= wanted;
  });
}

}  // namespace

double lower_bound(const Problem& problem, const Arrangement* arrangement) {
  Bound bound(problem, arrangement);
  bound.reach();
  return arrangement != nullptr ? bound_on(problem, *arrangement, bound)
                                : bound_on_any(problem, bound);
}

List<double> shortest_trips(const Problem& problem, const Arrangement* arrangement) {
  const Bound bound(problem, arrangement);
  List<double> out;
  for (int node = 0; node < problem.size(); ++node) {
    out.push_back(bound.may_be_source(node) ? bound.shortest_trip(node) : kInfinity);
  }
  return out;
}

}  // namespace rw::planner
