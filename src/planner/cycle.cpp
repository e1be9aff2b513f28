// Part of Ropewalk, MIT licence.
#include "planner/cycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "planner/bounds.h"

namespace rw::planner {

namespace {

// Shares of the limits: a turn of the rotation starts warm, the full plan from nothing.
constexpr double kFirstShare = 1;
constexpr double kTurnShare = 0.4;
constexpr double kFullShare = 0.6;
// Of the lower bound, what is paid for a stage that a source has not visited by its time, and for a
// visit beyond its even share.
constexpr double kMissing = 1;
constexpr double kExcess = 1e-3;

int ceiling(int over, int under) { return (over + under - 1) / under; }

class Cycle {
 public:
  Cycle(const Problem& problem, const PlanOptions& options) : p_(problem), options_(options) {
    shares_.push_back(kFirstShare);
    for (int turn = 1; turn < p_.rotation; ++turn) shares_.push_back(kTurnShare);
    if (p_.full_every > 0) shares_.push_back(kFullShare);
    visits_ = filled(p_.sources() * p_.stages(), 0);
  }

  Solution run(const Draft* start) {
    Solution out = once(p_, options_.track, start, cover(1));
    if (p_.rotation > 0) count(out.micro_batches, out.arrangement);
    Problem fixed = p_;
    fixed.arrangement = out.arrangement;
    for (int turn = 2; turn <= p_.rotation; ++turn) {
      const Draft before = draft_of(p_, out, options_.track);
      Solution next = once(fixed, options_.track, &before, cover(turn));
      count(next.micro_batches, out.arrangement);
      out.rotations.push_back(further(std::move(next)));
    }
    if (p_.rotation > 0) require_all_visited(out);
    if (p_.full_every > 0) {
      const Problem full = full_problem(p_, out.arrangement);
      out.full = further(once(full, Track::kFree, nullptr, nullptr));
    }
    out.mean_s = mean(out);
    out.evaluations = evaluations_;
    out.solve_s = options_.limits.time_s > 0 ? options_.limits.elapsed_s() : 0;
    return out;
  }

 private:
  /// The next part of the cycle, on its share of what is left of the limits.
  Solution once(const Problem& problem, Track track, const Draft* start, const Coverage* coverage) {
    const double share =
        shares_[part_] / std::accumulate(shares_.begin() + part_, shares_.end(), 0.0);
    const double done = std::accumulate(shares_.begin(), shares_.begin() + part_, 0.0);
    const double all = std::accumulate(shares_.begin(), shares_.end(), 0.0);
    const double own = shares_[part_++];
    PlanOptions options = options_;
    options.track = track;
    Limits& limits = options.limits;
    if (limits.evaluations > 0) {
      const double left = static_cast<double>(limits.evaluations - evaluations_);
      limits.evaluations =
          std::max(std::int64_t{options.threads}, static_cast<std::int64_t>(share * left));
    }
    if (limits.time_s > 0) {
      const double begin = options_.limits.elapsed_s();
      limits.time_s = std::max(1e-3, share * (limits.time_s - begin));
      limits.elapsed_s = [this, begin] { return options_.limits.elapsed_s() - begin; };
    }
    if (limits.report) {
      limits.report = [this, done, own, all](double progress, double objective) {
        options_.limits.report((done + own * progress) / all, objective);
      };
    }
    Solution out = plan_once(problem, options, start, coverage);
    evaluations_ += out.evaluations;
    return out;
  }

  /// What the plan of a turn owes to the sources; null without rotation.
  const Coverage* cover(int turn) {
    if (p_.rotation == 0) return nullptr;
    const int stages = std::max(1, p_.stages() - 1);
    const int each = p_.micro_batches_per_source * (p_.path_length - 1);
    const Arrangement given(p_.arrangement);
    coverage_.former = visits_;
    coverage_.wanted = ceiling((p_.stages() - 1) * turn, p_.rotation);
    coverage_.even = ceiling(turn * each, stages);
    const double bound = lower_bound(p_, p_.arrangement.empty() ? nullptr : &given);
    coverage_.missing_s = kMissing * bound;
    coverage_.excess_s = kExcess * bound;
    return &coverage_;
  }

  void count(const List<MicroBatch>& batches, const List<List<int>>& groups) {
    const Arrangement arrangement(groups);
    for (int i = 0; i < batches.count(); ++i) {
      const int source = i / p_.micro_batches_per_source;
      for (int k = 1; k < p_.path_length; ++k) {
        ++visits_[source * p_.stages() + arrangement.stage_of(batches[i].path[k])];
      }
    }
  }

  void require_all_visited(Solution& out) const {
    for (int source = 0; source < p_.sources(); ++source) {
      const auto row = visits_.begin() + std::ptrdiff_t{source} * p_.stages();
      out.visits.emplace_back(row + 1, row + p_.stages());
      const auto zero = std::find(row + 1, row + p_.stages(), 0);
      if (zero == row + p_.stages()) continue;
      throw core::Error(
          core::ErrorKind::kRecipe,
          fmt::format(
              "rotation: in {} iterations no path was found that lets source {} visit stage "
              "{}; want a larger rotation, rules.stage_quota or rules.max_jump, or more time",
              p_.rotation, out.arrangement[0][source], zero - row));
    }
  }

  static FurtherPlan further(Solution plan) {
    return {std::move(plan.micro_batches), plan.makespan_s, plan.iteration_s, plan.lower_bound_s};
  }

  /// Of the objective, over all iterations.
  double mean(const Solution& out) const {
    const bool iteration = p_.objective == Objective::kIteration;
    double sum = iteration ? out.iteration_s : out.makespan_s;
    for (const auto& turn : out.rotations) sum += iteration ? turn.iteration_s : turn.makespan_s;
    const double skipping = sum / (1 + out.rotations.count());
    if (!out.full) return skipping;
    const double full = iteration ? out.full->iteration_s : out.full->makespan_s;
    return ((p_.full_every - 1) * skipping + full) / p_.full_every;
  }

  const Problem& p_;
  const PlanOptions& options_;
  List<double> shares_;
  int part_ = 0;
  std::int64_t evaluations_ = 0;
  List<int> visits_;  // [source][stage], of the plans so far
  Coverage coverage_;
};

}  // namespace

Solution plan_cycle(const Problem& problem, const PlanOptions& options, const Draft* start) {
  if (problem.rotation == 0 && problem.full_every == 0) {
    return plan_once(problem, options, start, nullptr);
  }
  return Cycle(problem, options).run(start);
}

}  // namespace rw::planner
