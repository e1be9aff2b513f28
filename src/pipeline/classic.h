// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/problem.h"

namespace rw::pipeline {

/// All forwards, then all backwards: bubble (pp − 1) / (m + pp − 1), keeps all micro-batches.
Plan plan_gpipe(const Problem& problem);
/// pp − position forwards, then one backward, one forward in turn: the bubble of gpipe, keeps at
/// most pp − position micro-batches. (PipeDream-flush, arXiv 2104.04473 §2.2.)
Plan plan_1f1b(const Problem& problem);
/// 1f1b over problem.chunks stages per rank (arXiv 2104.04473 §2.2): the bubble shrinks by that
/// factor. Any number of micro-batches.
Plan plan_interleaved(const Problem& problem);
/// ZB-H1 (arXiv 2401.10241 §2.2): backward_input at once, backward_weight in what would be bubbles,
/// on position i that of the i-th micro-batch before: bubble (pp − 1) · (F + I − W); no rank keeps
/// more than 1f1b's first one does (pp). problem.chunks must be 1.
Plan plan_zero_bubble(const Problem& problem);
/// Forward only, for evaluation: `micro_batches` straight paths over the ranks that hold the stages
/// of `like`, whatever planner made that.
Plan plan_forward(const Plan& like, int micro_batches);

/// By name in kScheduleNames. Every plan passes plan_check. Throws Error{kRecipe} on impossible
/// numbers or a schedule that has no planner here.
Plan make_plan(const std::string& schedule, const Problem& problem);

/// Adds messages, reduces and update to lists that hold forward and backward operations only: each
/// receive just before its use, each send just after its making. Fills live_bound with what the
/// lists need, and channels with the least that is free of deadlock, from the default upwards.
void complete(Plan& plan);

}  // namespace rw::pipeline
