// Part of Ropewalk, MIT licence.
#include "pipeline/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;

constexpr const char* kFormat = "ropewalk plan 1";

constexpr std::array<const char*, kOpKinds> kNames{"forward",         "backward",
                                                   "backward_input",  "backward_weight",
                                                   "send_activation", "receive_activation",
                                                   "send_gradient",   "receive_gradient",
                                                   "reduce",          "update"};

OpKind kind_of(const std::string& name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames.at(i)) return static_cast<OpKind>(i);
  }
  throw Error(ErrorKind::kDataMalformed, fmt::format("got operation \"{}\"; want forward, "
                                                     "backward, … update",
                                                     name));
}

Json operation_json(const Operation& op) {
  Json out = Json::array({op_name(op.kind)});
  if (op.kind == OpKind::kUpdate) return out;
  if (op.kind == OpKind::kReduce) {
    out.push_back(op.stage);
    return out;
  }
  out.push_back(op.micro_batch);
  out.push_back(op.stage);
  if (op.sends() || op.receives()) {
    out.push_back(op.peer);
    out.push_back(op.tag);
  }
  return out;
}

Operation operation_from(const Json& json) {
  Operation op;
  op.kind = kind_of(json.at(0).get<std::string>());
  std::size_t want = 3;
  if (op.kind == OpKind::kUpdate) want = 1;
  if (op.kind == OpKind::kReduce) want = 2;
  if (op.sends() || op.receives()) want = 5;
  if (json.size() != want) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("got operation {}; want {} entries", json.dump(), want));
  }
  if (want == 2) op.stage = json.at(1).get<int>();
  if (want >= 3) {
    op.micro_batch = json.at(1).get<int>();
    op.stage = json.at(2).get<int>();
  }
  if (want == 5) {
    op.peer = json.at(3).get<int>();
    op.tag = json.at(4).get<int>();
  }
  return op;
}

Json spans_json(const std::vector<std::vector<Span>>& ranks) {
  Json out = Json::array();
  for (const auto& spans : ranks) {
    Json list = Json::array();
    for (const Span& span : spans) list.push_back(Json::array({span.begin, span.end}));
    out.push_back(std::move(list));
  }
  return out;
}

std::vector<std::vector<Span>> spans_from(const Json& json) {
  std::vector<std::vector<Span>> out;
  for (const Json& list : json) {
    auto& spans = out.emplace_back();
    for (const Json& one : list)
      spans.push_back({one.at(0).get<double>(), one.at(1).get<double>()});
  }
  return out;
}

Plan read_plan(const Json& json) {
  if (json.at("format").get<std::string>() != kFormat) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("got format {}; want \"{}\"", json.at("format").dump(), kFormat));
  }
  Plan plan;
  plan.schedule = json.at("schedule").get<std::string>();
  plan.stages = json.at("stages").get<int>();
  plan.forward_only = json.at("forward_only").get<bool>();
  plan.head_alone = json.at("head_alone").get<bool>();
  plan.channels.receive_buffers = json.at("receive_buffers").get<int>();
  plan.channels.send_buffers = json.at("send_buffers").get<int>();
  plan.stages_of_rank = json.at("stages_of_rank").get<std::vector<std::vector<int>>>();
  plan.live_bound = json.at("live_bound").get<std::vector<int>>();
  for (const Json& path : json.at("paths")) {
    auto& visits = plan.paths.emplace_back();
    for (const Json& visit : path) {
      visits.push_back({visit.at(0).get<int>(), visit.at(1).get<int>()});
    }
  }
  for (const Json& list : json.at("operations")) {
    auto& operations = plan.operations.emplace_back();
    for (const Json& op : list) operations.push_back(operation_from(op));
  }
  if (json.contains("predicted")) plan.predicted = spans_from(json.at("predicted"));
  return plan;
}

}  // namespace

const char* op_name(OpKind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

std::string Operation::text() const {
  if (kind == OpKind::kUpdate) return op_name(kind);
  if (kind == OpKind::kReduce) return fmt::format("reduce of stage {}", stage);
  std::string out =
      fmt::format("{} of micro-batch {}, stage {}", op_name(kind), micro_batch, stage);
  if (sends()) out += fmt::format(", to rank {}", peer);
  if (receives()) out += fmt::format(", from rank {}", peer);
  return out;
}

int position_in(const std::vector<Visit>& path, int stage) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i].stage == stage) return static_cast<int>(i);
  }
  return -1;
}

int count_visits(const Plan& plan, const Visit& station) {
  int out = 0;
  for (const auto& path : plan.paths) {
    out += static_cast<int>(std::count(path.begin(), path.end(), station));
  }
  return out;
}

int message_tag(int micro_batch, int stage, int stages, bool gradient) {
  const std::int64_t tag = (std::int64_t{micro_batch} * stages + stage) * 2 + (gradient ? 1 : 0);
  if (tag >= 2 * kMostTagged) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("plan: got micro-batch {} of {} stages; want micro-batches · stages at "
                            "most {}; try larger micro-batches",
                            micro_batch, stages, kMostTagged));
  }
  return static_cast<int>(tag);
}

Json to_json(const Plan& plan) {
  Json out;
  out["format"] = kFormat;
  out["schedule"] = plan.schedule;
  out["stages"] = plan.stages;
  out["forward_only"] = plan.forward_only;
  out["head_alone"] = plan.head_alone;
  out["receive_buffers"] = plan.channels.receive_buffers;
  out["send_buffers"] = plan.channels.send_buffers;
  out["stages_of_rank"] = plan.stages_of_rank;
  out["live_bound"] = plan.live_bound;
  out["paths"] = Json::array();
  for (const auto& path : plan.paths) {
    Json visits = Json::array();
    for (const Visit& visit : path) visits.push_back(Json::array({visit.stage, visit.rank}));
    out["paths"].push_back(std::move(visits));
  }
  out["operations"] = Json::array();
  for (const auto& list : plan.operations) {
    Json operations = Json::array();
    for (const Operation& op : list) operations.push_back(operation_json(op));
    out["operations"].push_back(std::move(operations));
  }
  if (!plan.predicted.empty()) out["predicted"] = spans_json(plan.predicted);
  return out;
}

Plan plan_from_json(const Json& json, const std::string& where) {
  try {
    return read_plan(json);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: not a plan: {}; write it with to_json", where, error.what()));
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace rw::pipeline
