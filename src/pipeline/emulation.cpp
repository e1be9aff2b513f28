// Part of Ropewalk, MIT licence.
#include "pipeline/emulation.h"

#include <fmt/format.h>

#include <utility>

#include "core/error.h"
#include "pipeline/json_file.h"

namespace rw::pipeline {

WalkCosts read_problem_costs(const Options& options, int ranks) {
  WalkCosts out =
      walk_costs_from_problem(read_json("pipeline.problem", options.problem), options.problem);
  if (static_cast<int>(out.forward_s.size()) != ranks) {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("pipeline.problem: got {} nodes; want {} nodes (parallel.dp · "
                                  "parallel.pp)",
                                  out.forward_s.size(), ranks));
  }
  return out;
}

std::int64_t read_full_every(const Options& options) {
  const core::Json problem = read_json("pipeline.problem", options.problem);
  const core::Json every = problem.value("full_every", core::Json());
  if (every.is_number_integer() && every.get<std::int64_t>() >= 1) return every;
  throw core::Error(core::ErrorKind::kDataMalformed,
                    fmt::format("{}.full_every: got {}; want a whole number >= 1, as the solution "
                                "has a plan for full iterations",
                                options.problem, every.dump()));
}

Emulation::Emulation(WalkCosts costs, std::vector<std::int64_t> slow)
    : costs_(std::move(costs)), slow_(std::move(slow)) {}

double Emulation::least_s(const Plan& plan, int rank, const Operation& op, OpKind kind,
                          std::int64_t n) const {
  if (!computes(kind)) return 0;
  const bool slower = !slow_.empty() && rank == slow_[0] && n >= slow_[1];
  const double forward = costs_.forward_s[static_cast<std::size_t>(rank)] *
                         (slower ? static_cast<double>(slow_[2]) : 1);
  const bool head = op.stage + 1 == plan.stages;
  const double loss = head ? costs_.loss_factor * forward : 0;
  const double layers = head && plan.head_alone ? 0 : forward;
  const bool split = costs_.weight_factor > 0;
  const double input = split ? costs_.backward_factor : costs_.backward_factor / 2;
  const double weight = split ? costs_.weight_factor : costs_.backward_factor / 2;
  switch (kind) {
    case OpKind::kForward:
      return layers + kLossForward * loss;
    case OpKind::kBackward:
      return (input + weight) * layers + (1 - kLossForward) * loss;
    case OpKind::kBackwardInput:
      return input * layers;
    default:  // the weights' gradients, the head's too
      return weight * layers + (1 - kLossForward) * loss;
  }
}

CostFunctions Emulation::costs(const Plan& plan, std::int64_t n) const {
  const auto operation = [this, &plan, n](int rank, const Operation& op) {
    return least_s(plan, rank, op, op.kind, n);
  };
  const auto transfer = [this](int from, int to) {
    return costs_.transfer_s[static_cast<std::size_t>(from)].at(static_cast<std::size_t>(to));
  };
  return {operation, transfer};
}

std::optional<Emulation> make_emulation(const Options& options, int ranks) {
  if (!options.emulate) return std::nullopt;
  return Emulation(read_problem_costs(options, ranks), options.emulate_slow);
}

}  // namespace rw::pipeline
