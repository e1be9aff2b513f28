// Part of Ropewalk, MIT licence.
#include "pipeline/plan_watch.h"

#include <fmt/format.h>

#include <utility>

#include "pipeline/simulate.h"

namespace rw::pipeline {
namespace {

/// Steps until the means are worth anything.
constexpr int kSettled = 3;

}  // namespace

PlanWatch::PlanWatch(double replan_share, Replan replan)
    : replan_share_(replan_share), pause_(kSettled) {
  if (replan_share > 0 && replan) replanner_ = std::make_unique<Replanner>(std::move(replan));
}

std::optional<Plan> PlanWatch::after_step(std::int64_t step, Plan& plan, const StepNumbers& numbers,
                                          comm::Communicator& world) {
  note_.clear();
  pace_.add(plan, numbers);
  if (numbers.raised > 0) return take_over(step, plan, world);
  if (pace_.steps() < kSettled) return std::nullopt;
  if (plan.predicted.empty()) {
    plan.predicted = simulate(plan, pace_.costs(plan)).spans;
    return std::nullopt;
  }
  if (replanner_ != nullptr && world.rank() == 0) ask(step, plan);
  return std::nullopt;
}

/// At most one question at a time, and none before the means have settled again.
void PlanWatch::ask(std::int64_t step, const Plan& plan) {
  if (replanner_->busy() || pace_.steps() < next_ask_) return;
  const auto predicted = predicted_busy_s(plan);
  const auto measured = pace_.busy_s(plan);
  const Disagreement worst = disagreement(predicted, measured);
  if (worst.share <= replan_share_) return;
  const auto rank = static_cast<std::size_t>(worst.rank);
  note_ = fmt::format(
      "step {}: rank {} computes {:.3g} s a step, {:.3g} s were predicted; planning "
      "anew in the background",
      step, worst.rank, measured[rank], predicted[rank]);
  replanner_->ask(plan, pace_.walk_costs(plan));
}

std::optional<Plan> PlanWatch::take_over(std::int64_t step, const Plan& plan,
                                         comm::Communicator& world) {
  std::optional<Plan> next;
  std::string problem;
  if (world.rank() == 0) {
    next = replanner_->take();
    problem = replanner_->problem();
    pause_ = next ? kSettled : 2 * pause_;
    next_ask_ = pace_.steps() + pause_;
  }
  if (!next) next = plan;  // all ranks hear of it, none changes anything
  Plan shared = share_plan(world, next);
  if (world.rank() == 0 && !problem.empty()) {
    note_ = fmt::format("step {}: no new plan: {}", step, problem);
  }
  if (shared == plan) return std::nullopt;
  if (world.rank() == 0) note_ = fmt::format("a new plan takes over from step {} on", step + 1);
  return shared;
}

}  // namespace rw::pipeline
