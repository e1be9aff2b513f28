// Part of Ropewalk, MIT licence.
#include "metrics/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/json_field.h"
#include "core/printable.h"
#include "metrics/json_lines.h"
#include "metrics/median.h"

namespace rw::metrics {
namespace {

constexpr const char* kStyle = R"(
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;background:#fff;max-width:1000px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.15em;margin-top:2em}
table{border-collapse:collapse}td,th{padding:.25em .8em;text-align:right;border-bottom:1px solid #e3e8ee}
td.text,th.text{text-align:left}th{font-weight:600;color:#52606d}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#52606d}
pre{background:#f5f7fa;padding:1em;overflow:auto;font-size:13px}.note{color:#52606d}
)";

constexpr double kMostExact = 9007199254740992;  // whole numbers below it are exact: 2^53
/// Of a step: shorter waits stay out of the table.
constexpr double kWorthALine = 5e-4;

/// The figures on top. The first step is left out of times: it makes buffers.
std::string figures(const std::vector<ReportStep>& steps) {
  if (steps.empty()) return "<p class=\"note\">No steps yet.</p>";
  std::vector<double> ms;
  std::vector<double> rate;
  std::vector<double> bubble;
  for (std::size_t i = steps.size() > 1 ? 1 : 0; i < steps.size(); ++i) {
    ms.push_back(steps[i].step_ms);
    rate.push_back(steps[i].tokens_per_s);
    bubble.push_back(steps[i].bubble_pct);
  }
  const ReportStep& last = steps.back();
  std::string out =
      "<table><tr><th>step</th><th>loss</th><th>validation loss</th><th>median step</"
      "th><th>median tokens/s</th><th>bubble</th><th>planned bubble</th></tr>";
  const auto text = [](const std::optional<double>& x) {
    if (!x) return std::string("–");
    return std::abs(*x) < 1e9 ? fmt::format("{:.4f}", *x) : fmt::format("{:.4g}", *x);
  };
  std::optional<double> validation;
  for (const ReportStep& step : steps) {
    if (step.validation_loss) validation = step.validation_loss;
  }
  return out + fmt::format(
                   "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0f}</td><td>"
                   "{:.1f} %</td><td>{:.1f} %</td></tr></table>",
                   last.step, text(last.loss), text(validation), time_text(median(ms) / 1e3),
                   median(rate), median(bubble), last.bubble_pct_planned);
}

/// How the end of the last backward was planned and measured.
std::string ends_text(const StepTimeline& timeline) {
  const StepEnds ends = step_ends(timeline);
  if (ends.predicted_s <= 0) {
    return fmt::format("The last backward ended after {}; nothing was predicted.",
                       time_text(ends.measured_s));
  }
  return fmt::format("The last backward ended after {}, planned {} ({:+.1f} %).",
                     time_text(ends.measured_s), time_text(ends.predicted_s),
                     100 * (ends.measured_s / ends.predicted_s - 1));
}

std::string cause_text(const IdleCauses::Cause& cause, double steps) {
  const std::string whom =
      cause.rank >= 0 ? fmt::format("rank {}", cause.rank) : std::string("its replicas");
  static const std::map<std::string, const char*> kWhat{{"activation", "for an activation of"},
                                                        {"gradient", "for a gradient of"},
                                                        {"reduce", "for sums with"},
                                                        {"values", "for values of"},
                                                        {"taking", "until taken by"}};
  const auto found = kWhat.find(cause.what);
  return fmt::format("{} {} {}", time_text(cause.seconds / steps),
                     found == kWhat.end() ? html_text(cause.what) : found->second, whom);
}

}  // namespace

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : core::printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string time_text(double seconds) {
  const double size = std::abs(seconds);
  if (size == 0) return "0";
  if (size < 1e-3) return fmt::format("{:.3g} µs", seconds * 1e6);
  if (size < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return fmt::format("{:.3g} s", seconds);
}

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high > low)) return {low};
  const double raw = high / std::max(1, count) - low / std::max(1, count);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) {
      step = factor * power;
      break;
    }
  }
  // Numbers that only differ in their last bits, or hardly from 0, have no round ones between them.
  const double first = std::ceil(low / step - 1e-9);
  const double last = std::floor(high / step + 1e-9);
  if (!(std::abs(first) < kMostExact && std::abs(last) < kMostExact)) return {low, high};
  std::vector<double> out;
  for (double i = first; i <= last; ++i) out.push_back(i * step);
  return out;
}

std::vector<ReportStep> read_report_steps(const std::string& path) {
  std::vector<ReportStep> out;
  read_json_lines(path, [&](const JsonLine& line) {
    const core::JsonField json(line.json, line.where);
    const auto number = [&json](const char* key) -> std::optional<double> {
      const auto field = json.find(key);
      return field ? std::optional(field->number()) : std::nullopt;
    };
    ReportStep step;
    step.step = json.at("step").whole(0, std::numeric_limits<std::int64_t>::max());
    step.loss = number("loss");
    step.validation_loss = number("validation_loss");
    step.step_ms = number("step_ms").value_or(0);
    step.tokens_per_s = number("tokens_per_s").value_or(0);
    step.bubble_pct = number("bubble_pct").value_or(0);
    step.bubble_pct_planned = number("bubble_pct_planned").value_or(0);
    out.push_back(step);
  });
  return out;
}

std::string idle_table(const std::vector<StepTimeline>& timelines) {
  if (timelines.empty())
    return "<p class=\"note\">No step was recorded (log.timeline_interval).</p>";
  const auto steps = static_cast<double>(timelines.size());
  std::string out =
      "<table><tr><th>rank</th><th>step</th><th>computes</th><th class=\"text\">waits</th><th>other"
      "</th></tr>";
  for (std::size_t rank = 0; rank < timelines.back().ranks.size(); ++rank) {
    const IdleCauses causes = idle_causes(timelines, rank);
    const double whole = causes.elapsed_s > 0 ? causes.elapsed_s : 1;
    std::string waits;
    for (const auto& cause : causes.causes) {
      if (cause.seconds < kWorthALine * whole) continue;
      waits += (waits.empty() ? "" : "<br>") + cause_text(cause, steps);
    }
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{:.1f} %</td><td class=\"text\">{}</td><td>"
        "{}</td></tr>",
        rank, time_text(causes.elapsed_s / steps), 100 * causes.busy_s / whole,
        waits.empty() ? "never" : waits, time_text(causes.other_s / steps));
  }
  return out + "</table>";
}

/// What the plans of a run were planned to take and took: medians of the steps that count, in order of
/// their first one. Empty where no plan has a name.
std::string plans_table(const std::vector<StepTimeline>& timelines) {
  std::vector<std::pair<std::string, std::vector<StepTimeline>>> plans;
  for (const auto& timeline : timelines) {
    const auto same = [&](const auto& plan) { return plan.first == timeline.plan; };
    auto plan = std::find_if(plans.begin(), plans.end(), same);
    if (plan == plans.end()) plan = plans.insert(plan, {timeline.plan, {}});
    plan->second.push_back(timeline);
  }
  if (plans.empty() || (plans.size() == 1 && plans.front().first.empty())) return "";
  std::string out =
      "<table><tr><th class=\"text\">plan</th><th>recorded steps</th><th>planned</th><th>measured"
      "</th></tr>";
  for (const auto& [name, recorded] : plans) {
    std::vector<double> planned, measured;
    for (const auto& timeline : counted(recorded)) {
      const StepEnds ends = step_ends(timeline);
      measured.push_back(ends.measured_s);
      if (ends.predicted_s > 0) planned.push_back(ends.predicted_s);
    }
    out += fmt::format("<tr><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                       name.empty() ? "planned before training" : html_text(name), measured.size(),
                       planned.empty() ? "not predicted" : time_text(median(planned)),
                       time_text(median(measured)));
  }
  return out + "</table>";
}

std::string page_html(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>"
      "{}</style></head><body>\n{}\n</body></html>\n",
      html_text(title), kStyle, body);
}

std::string run_html(const ReportInputs& inputs, const std::string& anchor) {
  std::string out = fmt::format("<h1{}>{}</h1>\n",
                                anchor.empty() ? "" : fmt::format(" id=\"{}\"", html_text(anchor)),
                                html_text(inputs.title));
  out += figures(inputs.steps) + "\n<h2>Loss</h2>\n" + loss_svg(inputs.steps);
  out += "\n<h2>Timeline</h2>\n";
  if (inputs.timelines.empty()) {
    out += "<p class=\"note\">No step was recorded (log.timeline_interval).</p>";
  } else {
    const StepTimeline& last = inputs.timelines.back();
    out += fmt::format(
        "<p class=\"note\">Step {}{}. Of each rank the upper row is what was planned, "
        "the lower one what happened; F forward, B backward, W weight gradient, L loss, with "
        "the number of the micro-batch; hatched: it waits.</p>\n",
        last.step, last.plan.empty() ? "" : ", " + html_text(last.plan));
    out += "<p>" + ends_text(last) + "</p>\n" + timeline_svg(last) + plans_table(inputs.timelines);
  }
  out += fmt::format(
      "\n<h2>Whom each rank waits for</h2>\n<p class=\"note\">Means of {} recorded "
      "steps. Other: neither an operation of the plan nor such a wait, as clipping, the "
      "optimizer's "
      "update, reading tokens, handing messages over.</p>\n",
      inputs.timelines.size());
  out += idle_table(inputs.timelines);
  if (!inputs.recipe.empty()) {
    out += "\n<h2>Recipe</h2>\n<pre>" + html_text(inputs.recipe) + "</pre>";
  }
  return out;
}

std::string report_html(const ReportInputs& inputs) {
  return page_html(inputs.title, run_html(inputs));
}

}  // namespace rw::metrics
