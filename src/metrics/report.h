// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "metrics/timeline.h"

namespace rw::metrics {

/// What a report shows of one line of metrics.jsonl.
struct ReportStep {
  std::int64_t step = 0;
  std::optional<double> loss;  // absent: not finite
  std::optional<double> validation_loss;
  double step_ms = 0;
  double tokens_per_s = 0;
  double bubble_pct = 0, bubble_pct_planned = 0;
};

/// What a run's plan says, in people's terms.
struct PlanFacts {
  std::vector<int> stage_sizes;  // ranks of each stage that has layers
  double skip_share = 0;         // of the stages with layers, what the mean path leaves out: 0..1
  int held = 0;                  // most (micro-batch, stage) pairs that a rank keeps at once
  bool own_times = false;        // it came with predicted times
};

/// What is known of a run.
struct ReportInputs {
  std::string title;
  std::string recipe;  // resolved, as text; may be empty
  std::vector<ReportStep> steps;
  std::vector<StepTimeline> timelines;
  // For side_by_side.h alone:
  std::string schedule;  // who made the plan; "": nobody knows
  std::optional<PlanFacts> plan;
};

/// Lines of metrics.jsonl. Empty when there is no file. Throws what read_json_lines does, and
/// Error{kDataMalformed} at a line that is no step.
std::vector<ReportStep> read_report_steps(const std::string& path);

/// One page of HTML that needs nothing else: figures of the run, loss by step, the last recorded step of
/// every rank as planned above as it ran, and whom each rank waited for. Parts without data say so.
/// Curves of more than 2000 points are thinned out.
std::string report_html(const ReportInputs& inputs);

/// A whole page around `body`, and what report_html has in it; `anchor`: id of the heading, or "".
std::string page_html(const std::string& title, const std::string& body);
std::string run_html(const ReportInputs& inputs, const std::string& anchor = "");

/// The parts of the page, each one element.
std::string loss_svg(const std::vector<ReportStep>& steps);
std::string timeline_svg(const StepTimeline& timeline);
/// Means over the recorded steps.
std::string idle_table(const std::vector<StepTimeline>& timelines);

/// Text with &, <, > and " replaced and control characters escaped, for HTML.
std::string html_text(const std::string& text);
/// 0.0123 -> "12.3 ms": three digits and a unit that suits.
std::string time_text(double seconds);
/// Steps of 1, 2 or 5 times a power of ten that cut [low, high] into about `count` parts; the two
/// ends where no such numbers lie between them.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace rw::metrics
