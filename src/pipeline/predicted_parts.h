// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "pipeline/plan.h"

namespace rw::pipeline {

/// The predicted forwards and backwards of a rank as one track of a trace shows them, in order of
/// time: indices into `operations`, and spans that lie apart. A track's slices must, and the next
/// step's follow these: one ends where the next begins, or the step, `step_s` long, has ended; what
/// nothing is left of is not there (plan/timeline.jsonl has all of it).
std::vector<std::pair<std::size_t, Span>> laid_apart(const std::vector<Operation>& operations,
                                                     const std::vector<Span>& predicted,
                                                     double step_s);

}  // namespace rw::pipeline
