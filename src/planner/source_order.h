// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::planner {

/// What one source has to do, when all else is as fast as an empty network allows. Seconds.
struct SourceWork {
  int micro_batches = 0;
  int memory = 0;        // micro-batches from the start of their F to the end of their B
  double forward_s = 0;  // durations on the source
  double loss_s = 0;
  double backward_s = 0;
  double gap_forward_s = 0;  // it stays blocked after an F, and after a loss or a B
  double gap_s = 0;
  double out_s = 0;   // at least, from the end of an F to the start of its loss
  double back_s = 0;  // at least, from the end of a loss to the start of its B
  double trip_s = 0;  // at least, from the start of an F to the end of its B
};

/// The least end of the last B over all orders of the source's operations, or `floor` when that is
/// less: a lower bound of every plan (docs/planner.md, bound 2). By branch and bound; `floor` too when
/// that takes more than some 10^5 steps (milliseconds), or with more than 1000 micro-batches.
double source_order_end(const SourceWork& work, double floor);

}  // namespace rw::planner
