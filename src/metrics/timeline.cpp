// Part of Ropewalk, MIT licence.
#include "metrics/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "metrics/append_file.h"

namespace rw::metrics {
namespace {

using core::Json;

}  // namespace

Json to_json(const RankTimeline& rank) {
  Json out;
  out["elapsed_s"] = rank.elapsed_s;
  out["operations"] = Json::array();
  for (const auto& op : rank.operations) {
    out["operations"].push_back(Json::array({op.name, op.micro_batch, op.stage, op.begin_s,
                                             op.end_s, op.predicted_begin_s, op.predicted_end_s}));
  }
  out["waits"] = Json::array();
  for (const auto& wait : rank.waits) {
    out["waits"].push_back(Json::array(
        {wait.what, wait.rank, wait.micro_batch, wait.stage, wait.begin_s, wait.end_s}));
  }
  return out;
}

Json to_json(const StepTimeline& timeline) {
  Json out;
  out["step"] = timeline.step;
  if (!timeline.plan.empty()) out["plan"] = timeline.plan;
  out["ranks"] = Json::array();
  for (const auto& rank : timeline.ranks) out["ranks"].push_back(to_json(rank));
  return out;
}

RankTimeline rank_timeline_from(const Json& json) {
  RankTimeline out;
  out.elapsed_s = json.at("elapsed_s").get<double>();
  for (const Json& op : json.at("operations")) {
    out.operations.push_back({op.at(0).get<std::string>(), op.at(1).get<int>(), op.at(2).get<int>(),
                              op.at(5).get<double>(), op.at(6).get<double>(),
                              op.at(3).get<double>(), op.at(4).get<double>()});
  }
  for (const Json& wait : json.at("waits")) {
    out.waits.push_back({wait.at(4).get<double>(), wait.at(5).get<double>(), wait.at(1).get<int>(),
                         wait.at(0).get<std::string>(), wait.at(2).get<int>(),
                         wait.at(3).get<int>()});
  }
  return out;
}

StepTimeline step_timeline_from(const Json& json) {
  StepTimeline out;
  out.step = json.at("step").get<std::int64_t>();
  out.plan = json.value("plan", "");
  for (const Json& rank : json.at("ranks")) out.ranks.push_back(rank_timeline_from(rank));
  return out;
}

std::vector<StepTimeline> read_timelines(const std::string& path) {
  std::map<std::int64_t, StepTimeline> by_step;
  std::istringstream lines(read_text(path));
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) continue;  // torn
    try {
      StepTimeline one = step_timeline_from(json);
      by_step[one.step] = std::move(one);
    } catch (const Json::exception& error) {
      throw core::Error(
          core::ErrorKind::kDataMalformed,
          fmt::format("{}:{}: got a line that is no recorded step ({}); want docs/formats/"
                      "timeline.md; try without that line",
                      path, number, error.what()));
    }
  }
  std::vector<StepTimeline> out;
  out.reserve(by_step.size());
  for (auto& [step, one] : by_step) out.push_back(std::move(one));
  return out;
}

StepEnds step_ends(const StepTimeline& timeline) {
  StepEnds out;
  for (const RankTimeline& rank : timeline.ranks) {
    for (const TimelineOperation& op : rank.operations) {
      if (op.name == "reduce") continue;
      out.predicted_s = std::max(out.predicted_s, op.predicted_end_s);
      out.measured_s = std::max(out.measured_s, op.end_s);
    }
  }
  return out;
}

std::vector<StepTimeline> counted(const std::vector<StepTimeline>& timelines) {
  std::vector<StepTimeline> later;
  std::vector<StepTimeline> predicted;
  for (const StepTimeline& one : timelines) {
    if (one.step <= 1) continue;
    later.push_back(one);
    if (step_ends(one).predicted_s > 0) predicted.push_back(one);
  }
  if (!predicted.empty()) return predicted;
  return later.empty() ? timelines : later;
}

IdleCauses idle_causes(const RankTimeline& rank) {
  IdleCauses out;
  out.elapsed_s = rank.elapsed_s;
  double waited = 0;
  for (const auto& op : rank.operations) {
    if (op.name != "reduce") out.busy_s += op.end_s - op.begin_s;
  }
  std::map<std::pair<int, std::string>, IdleCauses::Cause> causes;
  for (const auto& wait : rank.waits) {
    auto& cause = causes[{wait.rank, wait.what}];
    cause.rank = wait.rank;
    cause.what = wait.what;
    cause.seconds += wait.end_s - wait.begin_s;
    ++cause.times;
    waited += wait.end_s - wait.begin_s;
    if (wait.what == "values") out.busy_s -= wait.end_s - wait.begin_s;  // within a forward
  }
  for (auto& [key, cause] : causes) out.causes.push_back(std::move(cause));
  std::stable_sort(out.causes.begin(), out.causes.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  out.other_s = std::max(0.0, out.elapsed_s - out.busy_s - waited);
  return out;
}

IdleCauses idle_causes(const std::vector<StepTimeline>& timelines, std::size_t rank) {
  RankTimeline whole;
  for (const StepTimeline& one : timelines) {
    if (rank >= one.ranks.size()) continue;
    const RankTimeline& part = one.ranks[rank];
    whole.elapsed_s += part.elapsed_s;
    whole.operations.insert(whole.operations.end(), part.operations.begin(), part.operations.end());
    whole.waits.insert(whole.waits.end(), part.waits.begin(), part.waits.end());
  }
  return idle_causes(whole);
}

}  // namespace rw::metrics
