// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "metrics/report.h"

namespace rw::metrics {

/// A run's recorded steps in a few numbers. The first step counts only where it is alone (it makes
/// buffers); where some steps were predicted, those alone count.
struct PlanTimes {
  int steps = 0;          // that count; 0: nothing was recorded, and all below means nothing
  double measured_s = 0;  // step_ends: median
  std::optional<double> predicted_s;  // median
  std::optional<double> off;          // median of measured / predicted - 1, step by step
  /// Shares of the time up to the update in which a rank does not compute, 0..1, over all steps that
  /// count: the mean of the ranks, and the rank with the largest share.
  double idle_mean = 0, idle_worst = 0;
  int worst_rank = -1;
};
PlanTimes plan_times(const std::vector<StepTimeline>& timelines);

/// A row for each run, in order: its plan, planned and measured times, idle shares. What a run lacks
/// its row says in words. Row i links to the anchor "run-i", i from 1.
std::string side_by_side_table(const std::vector<ReportInputs>& runs);

/// One page of HTML that needs nothing else: the table, then for each run what report_html shows.
std::string side_by_side_html(const std::vector<ReportInputs>& runs);

}  // namespace rw::metrics
