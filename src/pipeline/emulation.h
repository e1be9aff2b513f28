// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/options.h"
#include "pipeline/plan.h"
#include "pipeline/simulate.h"
#include "pipeline/walks.h"

namespace rw::pipeline {

/// The problem in options.problem: node r is rank r. Throws Error{kRecipe} when it has not one node for
/// each of `ranks`, and what reading it throws.
WalkCosts read_problem_costs(const Options& options, int ranks);

/// full_every of that problem. Throws Error{kDataMalformed} when it is no whole number >= 1.
std::int64_t read_full_every(const Options& options);

/// How long operations last at least when a plan for other machines is tried on this one
/// (`pipeline.emulate`): they compute, and then wait until the time is over that the problem gives them
/// on their rank.
class Emulation {
 public:
  /// `slow`: empty, or rank, first step and factor of what is slower from then on.
  explicit Emulation(WalkCosts costs, std::vector<std::int64_t> slow = {});
  /// Seconds of `op` run as `kind` (a backward may run in two parts: those of
  /// the problem's split_backward, or each half of it) on `rank` in step
  /// `n`. The loss is the head's: a stage of its own, or added to the last one's passes; two thirds of
  /// it are forward (docs/adr/0010-loss-at-the-source.md).
  double least_s(const Plan& plan, int rank, const Operation& op, OpKind kind,
                 std::int64_t n) const;
  /// For simulate(): what a step takes where nothing takes longer than that.
  CostFunctions costs(const Plan& plan, std::int64_t n) const;

 private:
  WalkCosts costs_;
  std::vector<std::int64_t> slow_;
};

/// What options.emulate asks for; nullopt: nothing. Throws as read_problem_costs.
std::optional<Emulation> make_emulation(const Options& options, int ranks);

}  // namespace rw::pipeline
