// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <vector>

#include "pipeline/plan.h"

namespace rw::pipeline {

/// One operation as it ran. A backward may have run in two parts, hence two events.
struct Event {
  std::size_t index = 0;  // in the rank's list
  OpKind kind = OpKind::kForward;
  Span span;
};

/// A wait of the training thread, and the operation of the list that it waited for: a message to come,
/// a message to be taken, sums over replicas; or in the midst of which it waited for values that other
/// replicas had updated: a forward.
struct Idle {
  std::size_t index = 0;
  Span span;
};

/// What one rank did in one step, in the order in which it did it. Seconds since its step began.
struct RankTimes {
  std::vector<Event> events;  // forwards, backwards, reduces
  std::vector<Idle> idles;
};

}  // namespace rw::pipeline
