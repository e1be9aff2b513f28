// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/plan.h"

namespace rw::pipeline {

/// The plans that the steps of a run take in turn, on one set of stages: one for all of them, or
/// several (docs/formats/problem.md, rotation), and every full_every-th step one of its own, which
/// does not count as a turn.
struct PlanCycle {
  PlanCycle() = default;
  /// One plan for all steps.
  PlanCycle(Plan plan);         // NOLINT(google-explicit-constructor)
  std::vector<Plan> plans;      // at least one; with full_every the last one is the full one
  std::int64_t full_every = 0;  // 0: never
  std::int64_t since = 0;  // the step that a plan made while training took over at; 0: none did
  /// How many of `plans` take turns: all but the full one.
  std::size_t turns() const { return plans.size() - (full_every > 0 ? 1 : 0); }
  /// Which of `plans` step n >= 1 takes: a function of n alone, so that a run can go on from any step.
  std::size_t of_step(std::int64_t n) const;
  /// What people call it: "plan 2 of 3", "full", "planned anew, from step 9 on"; "" where there is one for all.
  std::string name_of(std::int64_t n) const;
  /// Micro-batches of a step whose tokens a rank needs in one of the plans: those that begin or end there.
  std::vector<std::int64_t> needed_on(int rank) const;
  /// A cycle of the same plans in which each comes within plans.size() steps.
  PlanCycle shortened() const;
};

/// Throws Error{kRecipe} when a plan is not sound, or differs from the first one in what has to stay
/// between two steps (replanner.h).
void require_sound(const PlanCycle& cycle);

}  // namespace rw::pipeline
