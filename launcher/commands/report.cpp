// Part of Ropewalk, MIT licence.
#include "launcher/commands/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "core/error.h"
#include "core/json_reader.h"
#include "metrics/append_file.h"
#include "metrics/side_by_side.h"
#include "pipeline/plan_check.h"
#include "pipeline/plan_facts.h"
#include "recipe/recipe.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;
using core::Json;

/// A page about several runs.
constexpr std::int64_t kMostTextBytes = std::int64_t{1} << 26;  // of a recipe, a plan
constexpr const char* kSideBySide = "side_by_side.html";

std::string folder_name(const fs::path& run) {
  const fs::path whole = fs::weakly_canonical(run);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

metrics::ReportInputs read_run(const fs::path& run) {
  const auto metrics_path = run / "metrics.jsonl";
  if (!fs::exists(metrics_path)) {
    throw core::Error(
        core::ErrorKind::kDataMissing,
        fmt::format("report: no {}; want the output_dir of a training", metrics_path.string()));
  }
  metrics::ReportInputs inputs;
  inputs.title = folder_name(run);
  inputs.recipe = metrics::read_text((run / "recipe.resolved.yaml").string(), kMostTextBytes);
  inputs.steps = metrics::read_report_steps(metrics_path.string());
  inputs.timelines = metrics::read_timelines((run / "plan" / "timeline.jsonl").string());
  return inputs;
}

/// Its plan, and who made it: the recipe says so where no plan does.
void add_plan(const fs::path& run, metrics::ReportInputs& inputs) {
  const std::string path = (run / "plan" / "plan.json").string();
  const std::string text = metrics::read_text(path, kMostTextBytes);
  if (text.empty()) {
    if (inputs.recipe.empty()) return;
    const auto loaded = recipe::load_text(inputs.recipe, (run / "recipe.resolved.yaml").string());
    if (loaded.details.empty()) inputs.schedule = loaded.recipe.pipeline.schedule;
    return;
  }
  const pipeline::Plan plan = pipeline::plan_from_json(core::parse_json(text, {path}), path);
  const std::string problem = pipeline::plan_problem(plan);
  if (!problem.empty()) {
    throw core::Error(
        core::ErrorKind::kDataMalformed,
        fmt::format("{}: got a plan that cannot be run: {}; want the one that the training wrote; "
                    "without the file the report says so",
                    path, problem));
  }
  inputs.schedule = plan.schedule;
  inputs.plan = pipeline::facts_of(plan);
}

/// Folders of one name are told apart by their paths.
void name_apart(const std::vector<std::string>& runs, std::vector<metrics::ReportInputs>& inputs) {
  std::set<std::string> names;
  for (const auto& one : inputs) names.insert(one.title);
  if (names.size() == inputs.size()) return;
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].title = runs[i];
}

Json json_of(const metrics::ReportInputs& inputs) {
  Json out{{"steps", inputs.steps.size()}, {"timelines", Json::array()}};
  for (const auto& timeline : inputs.timelines) {
    const auto ends = metrics::step_ends(timeline);
    Json one{{"step", timeline.step}, {"measured_s", ends.measured_s}};
    if (ends.predicted_s >= 0) one["predicted_s"] = ends.predicted_s;
    out["timelines"].push_back(std::move(one));
  }
  return out;
}

/// A row of the table. What is not known is not there.
Json row_json(const std::string& run, const metrics::ReportInputs& inputs) {
  Json out{{"run", run}, {"name", inputs.title}};
  if (!inputs.schedule.empty()) out["schedule"] = inputs.schedule;
  if (inputs.plan) {
    out["stage_sizes"] = inputs.plan->stage_sizes;
    out["skip_share"] = inputs.plan->skip_share;
    out["held_micro_batches"] = inputs.plan->held;
    out["own_times"] = inputs.plan->own_times;
  }
  const auto times = metrics::plan_times(inputs.timelines);
  out["steps"] = times.steps;
  if (times.steps == 0) return out;
  out["measured_s"] = times.measured_s;
  if (times.predicted_s) out["predicted_s"] = *times.predicted_s;
  if (times.off) out["off"] = *times.off;
  out["idle_mean"] = times.idle_mean;
  out["idle_worst"] = times.idle_worst;
  out["worst_rank"] = times.worst_rank;
  return out;
}

void write_page(const std::string& path, const std::string& page, bool json, const Json& more) {
  const auto store = store::make_posix();
  store::write_whole(*store, path, page);
  Json told{{"report", path}};
  told.update(more);
  std::cout << (json ? told.dump() : path) << '\n';
}

}  // namespace

int run_report(const ReportOptions& options) {
  std::vector<metrics::ReportInputs> inputs;
  for (const std::string& run : options.runs) inputs.push_back(read_run(run));
  const fs::path first(options.runs.front());
  if (inputs.size() == 1) {
    const auto& one = inputs.front();
    write_page(options.out.empty() ? (first / "report.html").string() : options.out,
               metrics::report_html(one), options.json, json_of(one));
    return 0;
  }
  Json told{{"runs", Json::array()}};
  name_apart(options.runs, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    add_plan(options.runs[i], inputs[i]);
    told["runs"].push_back(row_json(options.runs[i], inputs[i]));
  }
  write_page(options.out.empty() ? (first / kSideBySide).string() : options.out,
             metrics::side_by_side_html(inputs), options.json, told);
  return 0;
}

}  // namespace rw::launcher
