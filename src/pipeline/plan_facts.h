// Part of Ropewalk, MIT licence.
#pragma once
#include "metrics/report.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// What a report says of a sound plan (plan_check.h). A head that is a stage of its own counts nowhere: it
/// has no layers. Cost: linear.
metrics::PlanFacts facts_of(const Plan& plan);

}  // namespace rw::pipeline
