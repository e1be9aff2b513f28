// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>

#include "comm/communicator.h"
#include "metrics/timeline.h"
#include "pipeline/executor.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// What `rank` did, beside what plan.predicted says of it.
metrics::RankTimeline describe(const Plan& plan, int rank, const Execution& done);

/// All ranks' timelines of a step, on rank 0; nullopt elsewhere. Collective.
std::optional<metrics::StepTimeline> gather_timeline(comm::Communicator& world, const Plan& plan,
                                                     std::int64_t step, const Execution& done);

}  // namespace rw::pipeline
