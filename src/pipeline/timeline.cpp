// Part of Ropewalk, MIT licence.
#include "pipeline/timeline.h"

#include "core/json_reader.h"

namespace rw::pipeline {
namespace {

const char* wait_name(OpKind kind) {
  switch (kind) {
    case OpKind::kReceiveActivation:
      return "activation";
    case OpKind::kReceiveGradient:
      return "gradient";
    case OpKind::kReduce:
      return "reduce";
    case OpKind::kForward:
      return "values";
    default:
      return "taking";
  }
}

/// The passes of a head that is a stage of its own.
const char* loss_name(OpKind kind) {
  if (kind == OpKind::kReduce) return op_name(kind);
  return kind == OpKind::kForward ? "loss" : "loss_backward";
}

}  // namespace

metrics::RankTimeline describe(const Plan& plan, int rank, const Execution& done) {
  const auto& list = plan.operations[static_cast<std::size_t>(rank)];
  metrics::RankTimeline out;
  out.elapsed_s = static_cast<double>(done.elapsed_ns) / 1e9;
  for (const Event& event : done.times.events) {
    const Operation& op = list[event.index];
    metrics::TimelineOperation one;
    const bool loss = plan.head_alone && op.stage + 1 == plan.stages;
    one.name = loss ? loss_name(event.kind) : op_name(event.kind);
    one.micro_batch = op.micro_batch;
    one.stage = op.stage;
    one.begin_s = event.span.begin;
    one.end_s = event.span.end;
    // Of a backward that ran in two parts, the first one carries the prediction of the whole.
    const bool second = event.kind == OpKind::kBackwardWeight && op.kind == OpKind::kBackward;
    if (!plan.predicted.empty() && !second) {
      const Span& span = plan.predicted[static_cast<std::size_t>(rank)][event.index];
      one.predicted_begin_s = span.begin;
      one.predicted_end_s = span.end;
    }
    out.operations.push_back(std::move(one));
  }
  for (const Idle& idle : done.times.idles) {
    const Operation& op = list[idle.index];
    out.waits.push_back(
        {idle.span.begin, idle.span.end, op.peer, wait_name(op.kind), op.micro_batch, op.stage});
  }
  return out;
}

std::optional<metrics::StepTimeline> gather_timeline(comm::Communicator& world, const Plan& plan,
                                                     std::int64_t step, const Execution& done) {
  const auto all = world.gather_text(metrics::to_json(describe(plan, world.rank(), done)).dump());
  if (world.rank() != 0) return std::nullopt;
  metrics::StepTimeline out;
  out.step = step;
  for (const std::string& text : all) {
    if (text.empty()) {
      out.ranks.emplace_back();
      continue;
    }
    constexpr const char* kSource = "a rank's timeline";
    const core::Json json = core::parse_json(text, {kSource});
    out.ranks.push_back(metrics::rank_timeline_from(core::JsonField(json, kSource)));
  }
  return out;
}

}  // namespace rw::pipeline
