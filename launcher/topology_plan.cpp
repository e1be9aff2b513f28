// Part of Ropewalk, MIT licence.
#include "launcher/topology_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "core/error.h"
#include "pipeline/emulation.h"
#include "pipeline/layout.h"
#include "pipeline/planners.h"
#include "planner/planner.h"
#include "planner/problem.h"
#include "planner/solution.h"

namespace rw::launcher {
namespace {

constexpr const char* kKey = "pipeline.topology";
constexpr std::int64_t kSchedules = 200'000;

planner::Problem problem_of(const recipe::Recipe& recipe) {
  const auto topology = pipeline::read_topology(kKey, recipe.pipeline.topology);
  return planner::problem_from_json(pipeline::problem_on(topology, demand_of(recipe)), kKey);
}

/// Bytes of the gradients of the stage that has most of them, on the wire.
double gradient_bytes(const recipe::Recipe& recipe) {
  pipeline::Options any = recipe.pipeline;  // stages and parameters are those of every plan
  any.topology.clear();
  any.rotation = any.full_every = 0;
  const auto plan = pipeline::plan_for(
      recipe.parallel, any, recipe.train.global_batch_size / recipe.train.micro_batch_size);
  const auto layout = pipeline::make_layout(recipe.model, plan, recipe.pipeline.stage_split);
  std::vector<double> elems(layout.stages.size(), 0);
  for (const auto& param : layout.params) {
    for (const int stage : param.stages) {
      elems[static_cast<std::size_t>(stage)] += static_cast<double>(param.spec.shape.elems());
    }
  }
  const double width = recipe.parallel.reduce_dtype == "bf16" ? 2 : 4;
  return width * *std::max_element(elems.begin(), elems.end());
}

}  // namespace

pipeline::PathDemand demand_of(const recipe::Recipe& recipe) {
  if (recipe.parallel.dp * recipe.parallel.pp < 2) {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("parallel: got dp {} and pp {}, a single rank; a plan wants at "
                                  "least two; try parallel.pp=2, or train without a plan",
                                  recipe.parallel.dp, recipe.parallel.pp));
  }
  const auto kept = pipeline::kept_stages(recipe.parallel.pp, recipe.pipeline.skip_fraction);
  pipeline::PathDemand out;
  out.parallel = recipe.parallel;
  out.path_length = kept.value_or(recipe.parallel.pp);
  out.max_swaps = recipe.pipeline.max_swaps;
  out.micro_batches = recipe.train.global_batch_size / recipe.train.micro_batch_size;
  out.activation_bytes = 4.0 * static_cast<double>(recipe.train.micro_batch_size *
                                                   recipe.train.seq_len * recipe.model.hidden_size);
  out.gradient_bytes = gradient_bytes(recipe);
  out.rotation = recipe.pipeline.rotation;
  out.full_every = recipe.pipeline.full_every;
  return out;
}

pipeline::PlanCycle plans_on_topology(const recipe::Recipe& recipe) {
  const planner::Problem problem = problem_of(recipe);
  planner::PlanOptions how;
  how.limits.evaluations = kSchedules;
  const auto solution = planner::plan(problem, how);
  return pipeline::plans_from_solution(planner::to_json(solution), pipeline::walk_costs(problem),
                                       recipe.pipeline.full_every, kKey);
}

std::vector<std::vector<double>> known_transfers(const recipe::Recipe& recipe) {
  if (!recipe.pipeline.topology.empty()) {
    return pipeline::walk_costs(problem_of(recipe)).transfer_s;
  }
  if (recipe.pipeline.problem.empty()) return {};
  const auto ranks = static_cast<int>(recipe.parallel.dp * recipe.parallel.pp);
  return pipeline::read_problem_costs(recipe.pipeline, ranks).transfer_s;
}

}  // namespace rw::launcher
