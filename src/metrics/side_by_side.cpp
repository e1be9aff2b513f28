// Part of Ropewalk, MIT licence.
#include "metrics/side_by_side.h"

#include <fmt/format.h>

#include <cstddef>

#include "metrics/median.h"

namespace rw::metrics {
namespace {

constexpr const char* kHead =
    "<table><tr><th class=\"text\">run</th><th class=\"text\">schedule</th><th>ranks of each stage"
    "</th><th>skipped</th><th>held at most</th><th>planned</th><th>measured</th><th>off</th><th>"
    "idle, mean</th><th>idle, worst rank</th><th>steps</th></tr>\n";

constexpr const char* kNote =
    "<p class=\"note\">Plans as training began: the share of the stages that a path leaves out on "
    "average; the most pairs of micro-batch and stage that a rank holds. Of the recorded steps "
    "(log.timeline_interval; without the first one and, where some were predicted, without those "
    "that were not) the medians: when the last backward ended, planned and measured, and how far "
    "off a step was. By pace: the plan has no times of its own; what it should take at the pace of "
    "the first steps if messages took no time. Idle: the share of the time up to the update in "
    "which a rank does not "
    "compute.</p>\n";

std::string words(int columns, const std::string& what) {
  return fmt::format("<td class=\"text\" colspan=\"{}\">{}</td>", columns, what);
}

std::string plan_cells(const ReportInputs& run) {
  const std::string schedule = run.schedule.empty()
                                   ? std::string("no plan, no recipe.resolved.yaml")
                                   : html_text(run.schedule);
  const std::string first = fmt::format("<td class=\"text\">{}</td>", schedule);
  if (!run.plan) return first + words(3, "no plan/plan.json");
  return first + fmt::format("<td>{}</td><td>{:.4g} %</td><td>{}</td>",
                             fmt::join(run.plan->stage_sizes, " "), 100 * run.plan->skip_share,
                             run.plan->held);
}

std::string time_cells(const ReportInputs& run) {
  const PlanTimes times = plan_times(run.timelines);
  if (times.steps == 0) return words(6, "no step was recorded (log.timeline_interval)");
  std::string out = times.predicted_s
                        ? fmt::format("<td>{}{}</td>", time_text(*times.predicted_s),
                                      run.plan && !run.plan->own_times ? ", by pace" : "")
                        : std::string("<td class=\"text\">nothing was predicted</td>");
  out += fmt::format("<td>{}</td><td>{}</td>", time_text(times.measured_s),
                     times.off ? fmt::format("{:+.1f} %", 100 * *times.off) : std::string("–"));
  return out + fmt::format("<td>{:.1f} %</td><td>{:.1f} % (rank {})</td><td>{}</td>",
                           100 * times.idle_mean, 100 * times.idle_worst, times.worst_rank,
                           times.steps);
}

}  // namespace

PlanTimes plan_times(const std::vector<StepTimeline>& timelines) {
  PlanTimes out;
  const std::vector<StepTimeline> steps = counted(timelines);
  if (steps.empty()) return out;
  out.steps = static_cast<int>(steps.size());
  std::vector<double> measured;
  std::vector<double> predicted;
  std::vector<double> off;
  for (const StepTimeline& step : steps) {
    const StepEnds ends = step_ends(step);
    measured.push_back(ends.measured_s);
    if (ends.predicted_s <= 0) continue;
    predicted.push_back(ends.predicted_s);
    off.push_back(ends.measured_s / ends.predicted_s - 1);
  }
  out.measured_s = median(measured);
  if (!predicted.empty()) {
    out.predicted_s = median(predicted);
    out.off = median(off);
  }
  const std::size_t ranks = steps.back().ranks.size();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const IdleCauses causes = idle_causes(steps, rank);
    const double idle = causes.elapsed_s > 0 ? 1 - causes.busy_s / causes.elapsed_s : 0;
    out.idle_mean += idle / static_cast<double>(ranks);
    if (out.worst_rank >= 0 && idle <= out.idle_worst) continue;
    out.idle_worst = idle;
    out.worst_rank = static_cast<int>(rank);
  }
  return out;
}

std::string side_by_side_table(const std::vector<ReportInputs>& runs) {
  std::string out = kHead;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    out += fmt::format("<tr><td class=\"text\"><a href=\"#run-{}\">{}</a></td>{}{}</tr>\n", i + 1,
                       html_text(runs[i].title), plan_cells(runs[i]), time_cells(runs[i]));
  }
  return out + "</table>\n";
}

std::string side_by_side_html(const std::vector<ReportInputs>& runs) {
  const std::string title = fmt::format("{} runs", runs.size());
  std::string body = fmt::format("<h1>{}</h1>\n<h2>Plans side by side</h2>\n", title) + kNote +
                     side_by_side_table(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    body += "<hr>\n" + run_html(runs[i], fmt::format("run-{}", i + 1)) + "\n";
  }
  return page_html(title, body);
}

}  // namespace rw::metrics
