// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/options.h"
#include "model/params.h"
#include "model/stage.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// Which layers a stage has, which ranks hold it, and which ranks hold each parameter. The same on
/// every rank; made from the plan and the model alone.
struct StageLayout {
  model::StageRange range;
  std::vector<int> ranks;  // replicas, ascending
};

/// A parameter and where its copies live. A tied embedding may have copies on the ranks of two
/// stages.
struct ParamLayout {
  model::ParamSpec spec;
  std::vector<int> stages;  // that use it, ascending
  std::vector<int> ranks;   // that hold it, ascending; ranks[0] owns it
};

struct Layout {
  std::vector<StageLayout> stages;
  std::vector<ParamLayout> params;  // in the order of param_table
  std::vector<int> stages_of(int rank) const;
};

/// Throws what stage_layers throws.
Layout make_layout(const model::Options& options, const Plan& plan,
                   const std::vector<std::int64_t>& stage_split);

/// Relative cost of a stage's forward: elements of the matrices that every token goes through.
std::vector<double> stage_costs(const model::Options& options, const Layout& layout);

}  // namespace rw::pipeline
