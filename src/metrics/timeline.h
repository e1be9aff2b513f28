// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_field.h"

namespace rw::metrics {

/// A forward, backward or reduce of one rank. Seconds since the rank's step began; predicted ones are
/// below 0 when nobody predicted them.
struct TimelineOperation {
  std::string name;      // "forward", "backward", …
  int micro_batch = -1;  // -1: reduce
  int stage = -1;
  double predicted_begin_s = -1, predicted_end_s = -1;
  double begin_s = 0, end_s = 0;
};

/// A wait of a rank's training thread.
struct TimelineWait {
  double begin_s = 0, end_s = 0;
  int rank = -1;  // whom it waits for; -1: all replicas of a stage
  std::string
      what;  // "activation", "gradient", "reduce", "values", "taking" (of what this rank sent)
  int micro_batch = -1;
  int stage = -1;
};

struct RankTimeline {
  std::vector<TimelineOperation> operations;  // in the order in which they ran
  std::vector<TimelineWait> waits;
  double elapsed_s = 0;  // up to the update
};

/// One step of all ranks: what was planned beside what happened.
struct StepTimeline {
  std::int64_t step = 0;
  std::vector<RankTimeline> ranks;
  std::string plan = {};  // of several, which one, as people call it; empty: there is one
};

/// docs/formats/timeline.md.
core::Json to_json(const RankTimeline& rank);
core::Json to_json(const StepTimeline& timeline);
/// Throw Error{kDataMalformed} naming the key.
RankTimeline rank_timeline_from(const core::JsonField& json);
StepTimeline step_timeline_from(const core::JsonField& json);

/// The steps in a file of lines, the last line of each step, in order of steps; a torn last line is
/// left out. Empty when there is no file. Throws Error{kDataMalformed} at another line that is no
/// step.
std::vector<StepTimeline> read_timelines(const std::string& path);

/// When the last forward or backward of any rank ends; below 0: there is none, or none predicted.
struct StepEnds {
  double predicted_s = -1, measured_s = -1;
};
StepEnds step_ends(const StepTimeline& timeline);

/// The steps that say what a plan is worth: not the first one (it makes buffers) where there are others,
/// and where some were predicted those alone.
std::vector<StepTimeline> counted(const std::vector<StepTimeline>& timelines);

/// Seconds per rank in which the training thread waited, by whom and what for; and what is neither
/// computing nor such a wait.
struct IdleCauses {
  struct Cause {
    int rank = -1;
    std::string what;
    double seconds = 0;
    std::int64_t times = 0;
  };
  double elapsed_s = 0;
  double busy_s = 0;
  std::vector<Cause> causes;  // longest first
  double other_s = 0;         // reading tokens, handing messages over, …
};
IdleCauses idle_causes(const RankTimeline& rank);
/// Of one rank over all these steps, added up.
IdleCauses idle_causes(const std::vector<StepTimeline>& timelines, std::size_t rank);

}  // namespace rw::metrics
