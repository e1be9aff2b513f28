// Part of Ropewalk, MIT licence.
#include "metrics/timeline.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "metrics/json_lines.h"

namespace rw::metrics {
namespace {

using core::Json;
using core::JsonField;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// Of a rank, micro-batch or stage; -1: of none.
int number(const JsonField& json) {
  return static_cast<int>(json.whole(-1, std::numeric_limits<int>::max()));
}

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

RankTimeline rank_timeline_from(const JsonField& json) {
  RankTimeline out;
  out.elapsed_s = json.at("elapsed_s").number();
  for (const JsonField& one : json.at("operations").list("operations")) {
    const auto op = one.list("parts of an operation", 7);
    out.operations.push_back({op[0].text(), number(op[1]), number(op[2]), op[5].number(),
                              op[6].number(), op[3].number(), op[4].number()});
  }
  for (const JsonField& one : json.at("waits").list("waits")) {
    const auto wait = one.list("parts of a wait", 6);
    out.waits.push_back({wait[4].number(), wait[5].number(), number(wait[1]), wait[0].text(),
                         number(wait[2]), number(wait[3])});
  }
  return out;
}

StepTimeline step_timeline_from(const JsonField& json) {
  StepTimeline out;
  out.step = json.at("step").whole(0, kMost);
  if (const auto plan = json.find("plan")) out.plan = plan->text();
  for (const JsonField& rank : json.at("ranks").list("ranks")) {
    out.ranks.push_back(rank_timeline_from(rank));
  }
  return out;
}

std::vector<StepTimeline> read_timelines(const std::string& path) {
  std::map<std::int64_t, StepTimeline> by_step;
  read_json_lines(path, [&](const JsonLine& line) {
    StepTimeline one = step_timeline_from(JsonField(line.json, line.where));
    by_step[one.step] = std::move(one);
  });
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
