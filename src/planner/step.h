// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::planner {

/// What an operation takes, and what follows it in its job.
struct Step {
  double duration = 0, gap = 0;
  double lag = 0;   // until the next operation of the job may start, when nothing is in its way
  double tail = 0;  // from its start to the last end that it decides, likewise
  double rest = 0;  // from its start to the end of its job, likewise
  int node = 0;
  int memory = 0;  // +1 (F): takes one; -1 (B): gives one back, or (split) leaves a W that does
};

}  // namespace rw::planner
