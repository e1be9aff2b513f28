// Part of Ropewalk, MIT licence.
#include "planner/outlook.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace rw::planner {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRoom = 1.25;       // visits that a node has room for, in shares of what is fair
constexpr double kWorst = 0.3;       // from the mean to the worst source
constexpr double kPriceStep = 0.04;  // in shares of the trip
constexpr double kSlowing = 0.3;

}  // namespace

Outlook::Outlook(const Problem& problem)
    : p_(problem),
      hops_(problem.size()),
      prices_(filled(problem.size(), 0.0)),
      limits_(prices_),
      visits_(prices_) {
  for (int a = 0; a < p_.size(); ++a) {
    for (int b = 0; b < p_.size(); ++b) {
      hops_.at(a, b) = p_.transfer_s.at(a, b) + p_.transfer_s.at(b, a);
    }
  }
}

/// What a visit keeps a node busy.
double Outlook::work(int node) const {
  return (1 + p_.backward_factor + p_.weight_factor.value_or(0)) * p_.nodes[node].forward_s;
}

void Outlook::place(const Arrangement& arrangement) {
  inner_.clear();
  begin_.assign(1, 0);
  for (int stage = 0; stage < p_.stages(); ++stage) {
    if (stage > 0) {
      const auto& group = arrangement.group(stage);
      inner_.insert(inner_.end(), group.begin(), group.end());
    }
    begin_.push_back(inner_.count());
  }
  double speed = 0;
  for (const int node : inner_) speed += 1 / (work(node) + 2 * p_.gap_s);
  const double visits = kRoom * p_.micro_batches() * (p_.path_length - 1);
  for (const int node : inner_) limits_[node] = visits / speed / (work(node) + 2 * p_.gap_s);
}

/// The cheapest path from a source over rising stages and back, prices with it; counts its visits.
double Outlook::cheapest(int source) {
  const int count = inner_.count(), steps = p_.path_length - 1;
  cost_.assign(std::size_t(steps) * inner_.size(), kInfinity);
  from_.assign(cost_.size(), -1);
  for (int k = 0; k < steps; ++k) {
    const double* const before = cost_.data() + std::ptrdiff_t{k - 1} * count;
    for (int stage = 1; stage < p_.stages(); ++stage) {
      const int low = begin_[std::max(1, stage - p_.rules.max_jump)], high = begin_[stage];
      for (int i = high; i < begin_[stage + 1]; ++i) {
        const int node = inner_[i];
        double best = k == 0 && stage <= p_.rules.max_jump ? hop(source, node) : kInfinity;
        int best_from = -1;
        for (int j = low; k > 0 && j < high; ++j) {
          const double here = before[j] + hop(inner_[j], node);
          if (here >= best) continue;
          best = here;
          best_from = j;
        }
        const std::ptrdiff_t at = std::ptrdiff_t{k} * count + i;
        cost_[at] = best + work(node) + prices_[node];
        from_[at] = best_from;
      }
    }
  }
  const bool back = p_.loss_at == LossAt::kSource;
  double best = kInfinity;
  int at = -1;
  for (int i = 0; i < count; ++i) {
    const double here =
        cost_[std::ptrdiff_t{steps - 1} * count + i] + (back ? hop(inner_[i], source) : 0);
    if (here >= best) continue;
    best = here;
    at = i;
  }
  for (int k = steps - 1; k >= 0 && at >= 0; --k) {
    visits_[inner_[at]] += p_.micro_batches_per_source;
    at = from_[std::ptrdiff_t{k} * count + at];
  }
  return best + work(source) + p_.loss_factor * p_.nodes[source].forward_s;
}

double Outlook::trip(const Arrangement& arrangement, int rounds) {
  place(arrangement);
  const auto& sources = arrangement.group(0);
  double best = -kInfinity, worst_then = 0;
  for (int round = 0; round < rounds; ++round) {
    std::fill(visits_.begin(), visits_.end(), 0.0);
    double sum = 0, worst = 0;
    for (const int source : sources) {
      const double trip = cheapest(source);
      sum += trip;
      worst = std::max(worst, trip);
    }
    // What the relaxation proves: nodes with a price are visited no more than they have room for.
    double sold = 0;
    for (const int node : inner_) sold += prices_[node] * limits_[node];
    const double mean = sum / p_.sources() - sold / p_.micro_batches();
    if (mean > best) {
      best = mean;
      worst_then = worst;
    }
    if (trip_ == 0) trip_ = mean;
    const double step = kPriceStep * trip_ / (1 + kSlowing * round);
    for (const int node : inner_) {
      const double over = visits_[node] / limits_[node] - 1;
      prices_[node] = std::max(0.0, prices_[node] + step * over);
    }
  }
  return best + kWorst * (worst_then - best);
}

void improve_outlook(const Problem& problem, const List<char>& may_be_source, Dice& dice, int tries,
                     Arrangement& arrangement) {
  constexpr int kFirstRounds = 60, kRounds = 8;
  constexpr double kHot = 0.03, kCooling = 0.01;
  const auto& reduction = problem.reduction;
  const bool iteration = problem.objective == Objective::kIteration;
  Outlook outlook(problem);
  List<double> reductions;
  for (const auto& group : arrangement.members())
    reductions.push_back(reduction_s(reduction, group));
  const auto price = [&](int rounds) {
    // A source's micro-batches go as many at a time as it holds.
    double memory = 0;
    for (const int node : arrangement.group(0)) memory += problem.nodes[node].memory;
    const double waves = std::max(1.0, problem.micro_batches() / memory);
    const double most = *std::max_element(reductions.begin(), reductions.end());
    return waves * outlook.trip(arrangement, rounds) + (iteration ? most : 0);
  };
  double now = price(kFirstRounds);
  const double hot = kHot * now;
  double best = now;
  Arrangement best_arrangement = arrangement;
  List<double> prices = outlook.prices();
  for (int i = 0; i < tries; ++i) {
    const int a = dice.below(problem.size()), b = dice.below(problem.size());
    const int one = arrangement.stage_of(a), other = arrangement.stage_of(b);
    if (one == other || (one == 0 && may_be_source[b] == 0) ||
        (other == 0 && may_be_source[a] == 0)) {
      continue;
    }
    const double before = std::max(reductions[one], reductions[other]);
    const double was_one = reductions[one], was_other = reductions[other];
    arrangement.swap(a, b);
    reductions[one] = reduction_s(reduction, arrangement.group(one));
    reductions[other] = reduction_s(reduction, arrangement.group(other));
    const double after = std::max(reductions[one], reductions[other]);
    bool kept = iteration || after <= std::max(before, reduction.max_s);
    if (kept) {
      const double heat = hot * std::pow(kCooling, double(i) / tries);
      const double next = price(kRounds);
      kept = next - now < -heat * std::log(dice.uniform());
      if (kept) now = next;
    }
    if (kept) {
      prices = outlook.prices();
    } else {
      arrangement.swap(a, b);
      reductions[one] = was_one;
      reductions[other] = was_other;
      outlook.set_prices(prices);
    }
    if (now < best) {
      best = now;
      best_arrangement = arrangement;
    }
  }
  arrangement = best_arrangement;
}

}  // namespace rw::planner
