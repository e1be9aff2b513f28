// Part of Ropewalk, MIT licence.
#include "pipeline/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/error.h"
#include "core/json_field.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;
using core::JsonField;

constexpr const char* kFormat = "ropewalk plan 1";

constexpr std::array<const char*, kOpKinds> kNames{"forward",         "backward",
                                                   "backward_input",  "backward_weight",
                                                   "send_activation", "receive_activation",
                                                   "send_gradient",   "receive_gradient",
                                                   "reduce",          "update"};

constexpr std::int64_t kMostInt = std::numeric_limits<int>::max();

int count_from(const JsonField& in, std::int64_t least = 0) {
  return static_cast<int>(in.whole(least, kMostInt));
}

std::vector<int> counts_from(const JsonField& in, const char* of) {
  std::vector<int> out;
  for (const JsonField& one : in.list(of)) out.push_back(count_from(one));
  return out;
}

OpKind kind_of(const JsonField& in) {
  const std::string name = in.text();
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames.at(i)) return static_cast<OpKind>(i);
  }
  in.refuse("forward, backward, … update");
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

Operation operation_from(const JsonField& in) {
  const auto fields = in.list("the name of an operation and its numbers");
  if (fields.empty()) in.refuse("the name of an operation and its numbers");
  Operation op;
  op.kind = kind_of(fields[0]);
  std::size_t want = 3;
  if (op.kind == OpKind::kUpdate) want = 1;
  if (op.kind == OpKind::kReduce) want = 2;
  if (op.sends() || op.receives()) want = 5;
  if (fields.size() != want) in.refuse(fmt::format("{} entries", want));
  if (want == 2) op.stage = count_from(fields[1]);
  if (want >= 3) {
    op.micro_batch = count_from(fields[1]);
    op.stage = count_from(fields[2]);
  }
  if (want == 5) {
    op.peer = count_from(fields[3]);
    op.tag = count_from(fields[4]);
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

std::vector<std::vector<Span>> spans_from(const JsonField& in) {
  std::vector<std::vector<Span>> out;
  for (const JsonField& list : in.list("lists of times, one for each rank")) {
    auto& spans = out.emplace_back();
    for (const JsonField& one : list.list("times")) {
      const auto ends = one.list("begin and end", 2);
      spans.push_back({ends[0].number(), ends[1].number()});
    }
  }
  return out;
}

Plan read_plan(const JsonField& in) {
  if (in.at("format").text() != kFormat) in.at("format").refuse(fmt::format("\"{}\"", kFormat));
  Plan plan;
  plan.schedule = in.at("schedule").text();
  plan.stages = count_from(in.at("stages"), 1);
  plan.forward_only = in.at("forward_only").flag();
  plan.head_alone = in.at("head_alone").flag();
  plan.channels.receive_buffers = count_from(in.at("receive_buffers"));
  plan.channels.send_buffers = count_from(in.at("send_buffers"));
  for (const JsonField& held : in.at("stages_of_rank").list("lists of stages, one for each rank")) {
    plan.stages_of_rank.push_back(counts_from(held, "stages"));
  }
  plan.live_bound = counts_from(in.at("live_bound"), "numbers of micro-batches");
  for (const JsonField& path : in.at("paths").list("paths, one for each micro-batch")) {
    auto& visits = plan.paths.emplace_back();
    for (const JsonField& visit : path.list("visits")) {
      const auto numbers = visit.list("stage and rank", 2);
      visits.push_back({count_from(numbers[0]), count_from(numbers[1])});
    }
  }
  for (const JsonField& list : in.at("operations").list("lists of operations, one for each rank")) {
    auto& operations = plan.operations.emplace_back();
    for (const JsonField& op : list.list("operations")) operations.push_back(operation_from(op));
  }
  if (in.has("predicted")) plan.predicted = spans_from(in.at("predicted"));
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
  return read_plan(JsonField(json, where));
}

}  // namespace rw::pipeline
