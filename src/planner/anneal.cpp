// Part of Ropewalk, MIT licence.
#include "planner/anneal.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rw::planner {

Budget::Budget(std::int64_t evaluations, double seconds, std::function<double()> elapsed_s)
    : limit_(evaluations), seconds_(seconds), elapsed_s_(std::move(elapsed_s)) {}

bool Budget::spend() {
  if (progress_ >= 1) return false;
  if (spent_ % kGrain == 0) {
    progress_ = limit_ > 0 ? static_cast<double>(spent_) / static_cast<double>(limit_) : 0;
    if (seconds_ > 0) progress_ = std::max(progress_, elapsed_s_() / seconds_);
    if (report_) report_(progress_, best_);
  }
  if (progress_ >= 1 || (limit_ > 0 && spent_ >= limit_)) return false;
  ++spent_;
  return true;
}

namespace {

/// Whether a schedule is as good as can be: at the bound, and under the cap on reductions.
bool is_enough(const Schedule& schedule, const Budget& budget) {
  if (schedule.goal() > budget.enough()) return false;
  const Problem& p = schedule.problem();
  return p.objective == Objective::kIteration ||
         schedule.max_reduction() <= p.reduction.max_s + kTolerance;
}

}  // namespace

void anneal(Schedule& schedule, Dice& dice, Placement placement, const Cooling& cooling,
            Budget& budget) {
  Moves moves(schedule, dice, placement);
  const double hot = cooling.hot * schedule.cost();
  const double ratio = std::log(cooling.cold / cooling.hot);
  const double begin = budget.progress();
  double best = schedule.goal();
  double best_cost = schedule.cost();
  Draft best_draft = schedule.draft();
  double temperature = hot;
  if (is_enough(schedule, budget)) budget.finish();
  double updated_at = -1;
  while (budget.spend()) {
    const double progress = budget.progress();
    if (progress >= cooling.until) break;
    if (progress != updated_at) {
      updated_at = progress;
      temperature = hot * std::exp(ratio * (progress - begin) / (cooling.until - begin));
    }
    if (!moves.propose()) continue;
    const double limit = schedule.cost() - temperature * std::log(dice.uniform());
    const double cost = schedule.evaluate(limit);
    if (cost > limit || (cost == schedule.cost() && schedule.only_order_changed())) {
      schedule.revert();  // the same cost to the last bit: an order that changed nothing
      continue;
    }
    schedule.keep();
    moves.kept();
    // The goal first; the mean end of the jobs is only a guide.
    const double goal = schedule.goal();
    if (goal < best || (goal == best && schedule.cost() < best_cost)) {
      best = goal;
      best_cost = schedule.cost();
      schedule.draft_into(best_draft);
      budget.found(schedule.objective());
      if (is_enough(schedule, budget)) budget.finish();
    }
  }
  schedule.restart(best_draft);
}

}  // namespace rw::planner
