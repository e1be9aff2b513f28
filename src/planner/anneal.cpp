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
    const double used = seconds_ > 0 ? elapsed_s_() / seconds_ : 0;
    progress_ = limit_ > 0 ? static_cast<double>(spent_) / static_cast<double>(limit_) : used;
    if (used >= 1 || (stop_ != nullptr && *stop_)) progress_ = 1;
    if (report_) report_(progress_, best_);
  }
  if (progress_ >= 1 || (limit_ > 0 && spent_ >= limit_)) return false;
  ++spent_;
  return true;
}

namespace {

/// The best schedule of a run: under the cap first, then the goal; the mean end of the jobs is only a guide.
/// One under the cap that reaches the bound ends the budget.
class Record {
 public:
  explicit Record(Budget& budget) : budget_(&budget) {}
  void see(const Schedule& schedule) {
    if (over_cap_ == 0 && !is_better(schedule)) return;
    const double over_cap = schedule.over_cap();
    if (over_cap > over_cap_ || (over_cap == over_cap_ && !is_better(schedule))) return;
    over_cap_ = over_cap;
    goal_ = schedule.goal();
    cost_ = schedule.cost();
    schedule.draft_into(draft_);
    budget_->found(schedule.objective());
    if (over_cap == 0 && goal_ <= budget_->enough()) budget_->finish();
  }
  double cost() const { return cost_; }
  const Draft& draft() const { return draft_; }

 private:
  bool is_better(const Schedule& schedule) const {
    const double goal = schedule.goal();
    return goal < goal_ || (goal == goal_ && schedule.cost() < cost_);
  }

  Budget* budget_;
  double over_cap_ = Schedule::kNever;
  double goal_ = Schedule::kNever, cost_ = Schedule::kNever;
  Draft draft_;
};

/// A schedule that changes at random, by the rule of Metropolis.
class Walk {
 public:
  Walk(Schedule& schedule, Dice& dice, Placement placement)
      : schedule_(&schedule), dice_(&dice), moves_(schedule, dice, placement) {}
  /// Tries one change; true when it is kept.
  bool step(double temperature) {
    if (!moves_.propose()) return false;
    const double before = schedule_->cost();
    const double limit = before - temperature * std::log(dice_->uniform());
    if (schedule_->hopeless(limit)) {
      schedule_->revert();
      return false;
    }
    const double cost = schedule_->evaluate(limit);
    if (cost > limit || (cost == before && schedule_->only_order_changed())) {
      schedule_->revert();  // the same cost to the last bit: an order that changed nothing
      return false;
    }
    schedule_->keep();
    moves_.kept();
    return true;
  }
  Schedule& schedule() { return *schedule_; }

 private:
  Schedule* schedule_;
  Dice* dice_;
  Moves moves_;
};

}  // namespace

void anneal(Schedule& schedule, Dice& dice, Placement placement, const Heat& heat, Budget& budget) {
  Walk walk(schedule, dice, placement);
  Record record(budget);
  record.see(schedule);
  const double hot = heat.hot * schedule.cost();
  const double ratio = std::log(heat.cold / heat.hot);
  const double begin = budget.progress();
  double temperature = hot;
  double updated_at = -1;
  while (budget.spend()) {
    const double progress = budget.progress();
    if (progress >= heat.until) break;
    if (progress != updated_at) {
      updated_at = progress;
      temperature = hot * std::exp(ratio * (progress - begin) / (heat.until - begin));
    }
    if (walk.step(temperature)) record.see(schedule);
  }
  schedule.restart(record.draft());
}

void temper(List<std::unique_ptr<Schedule>>& schedules, Dice& dice, Placement placement,
            const Heat& heat, Budget& budget) {
  constexpr int kSweep = 1000;  // changes that are tried between two exchanges
  Record record(budget);
  List<std::unique_ptr<Walk>> walks;  // the hottest one first
  for (const auto& schedule : schedules) {
    record.see(*schedule);
    walks.push_back(std::make_unique<Walk>(*schedule, dice, placement));
  }
  const int count = walks.count();
  const double step = std::log(heat.cold / heat.hot) / std::max(1, count - 1);
  const auto temperature = [&](int i) { return record.cost() * heat.hot * std::exp(step * i); };
  const auto walk_on = [&](int i) {
    double now = temperature(i);
    for (int k = 0; k < kSweep; ++k) {
      if (!budget.spend() || budget.progress() >= heat.until) return false;
      if (!walks[i]->step(now)) continue;
      record.see(walks[i]->schedule());
      now = temperature(i);  // a share of the best cost
    }
    return true;
  };
  bool goes_on = true;
  for (int turn = 0; goes_on; turn = 1 - turn) {
    for (int i = 0; goes_on && i < count; ++i) goes_on = walk_on(i);
    for (int i = turn; goes_on && i + 1 < count; i += 2) {
      const double costs = walks[i + 1]->schedule().cost() - walks[i]->schedule().cost();
      const double gain = costs * (1 / temperature(i + 1) - 1 / temperature(i));
      if (gain >= 0 || dice.uniform() < std::exp(gain)) std::swap(walks[i], walks[i + 1]);
    }
  }
  schedules.front()->restart(record.draft());
}

}  // namespace rw::planner
