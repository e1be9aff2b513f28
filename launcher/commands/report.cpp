// Part of Ropewalk, MIT licence.
#include "launcher/commands/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "metrics/append_file.h"
#include "metrics/report.h"
#include "store/posix.h"

namespace rw::launcher {

namespace fs = std::filesystem;

int run_report(const ReportOptions& options) {
  const fs::path run(options.run);
  const auto metrics_path = run / "metrics.jsonl";
  if (!fs::exists(metrics_path)) {
    throw core::Error(
        core::ErrorKind::kDataMissing,
        fmt::format("report: no {}; want the output_dir of a training", metrics_path.string()));
  }
  metrics::ReportInputs inputs;
  const fs::path whole = fs::weakly_canonical(run);
  inputs.title = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  inputs.recipe = metrics::read_text((run / "recipe.resolved.yaml").string());
  inputs.steps = metrics::read_report_steps(metrics_path.string());
  inputs.timelines = metrics::read_timelines((run / "plan" / "timeline.jsonl").string());
  const std::string out = options.out.empty() ? (run / "report.html").string() : options.out;
  const auto store = store::make_posix();
  store::write_whole(*store, out, metrics::report_html(inputs));
  if (options.json) {
    core::Json json{{"report", out}, {"steps", inputs.steps.size()}};
    json["timelines"] = core::Json::array();
    for (const auto& timeline : inputs.timelines) {
      const auto ends = metrics::step_ends(timeline);
      core::Json one{{"step", timeline.step}, {"measured_s", ends.measured_s}};
      if (ends.predicted_s >= 0) one["predicted_s"] = ends.predicted_s;
      json["timelines"].push_back(std::move(one));
    }
    std::cout << json.dump() << '\n';
  } else {
    std::cout << out << '\n';
  }
  return 0;
}

}  // namespace rw::launcher
