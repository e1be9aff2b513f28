// Part of Ropewalk, MIT licence.
#include "pipeline/plan_facts.h"

#include <algorithm>
#include <cstddef>

namespace rw::pipeline {
namespace {

/// Most (micro-batch, stage) pairs at once, of the stages below `stages`.
int most_held(const std::vector<Operation>& list, int stages) {
  int held = 0;
  int most = 0;
  for (const Operation& op : list) {
    if (op.stage >= stages) continue;
    if (op.kind == OpKind::kForward) most = std::max(most, ++held);
    if (op.kind == OpKind::kBackward || op.kind == OpKind::kBackwardWeight) --held;
  }
  return most;
}

}  // namespace

metrics::PlanFacts facts_of(const Plan& plan) {
  metrics::PlanFacts out;
  const int stages = plan.stages - (plan.head_alone ? 1 : 0);
  out.stage_sizes.assign(static_cast<std::size_t>(stages), 0);
  for (const auto& held : plan.stages_of_rank) {
    for (const int stage : held) {
      if (stage < stages) ++out.stage_sizes[static_cast<std::size_t>(stage)];
    }
  }
  std::int64_t visits = 0;
  for (const auto& path : plan.paths) {
    visits += std::count_if(path.begin(), path.end(),
                            [&](const Visit& visit) { return visit.stage < stages; });
  }
  const double all = static_cast<double>(stages) * plan.micro_batches();
  if (all > 0) out.skip_share = 1 - static_cast<double>(visits) / all;
  for (const auto& list : plan.operations) out.held = std::max(out.held, most_held(list, stages));
  out.own_times = !plan.predicted.empty();
  return out;
}

}  // namespace rw::pipeline
