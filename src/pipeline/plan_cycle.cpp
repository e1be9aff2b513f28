// Part of Ropewalk, MIT licence.
#include "pipeline/plan_cycle.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "core/error.h"
#include "pipeline/plan_check.h"
#include "pipeline/replanner.h"

namespace rw::pipeline {

PlanCycle::PlanCycle(Plan plan) { plans.push_back(std::move(plan)); }

std::size_t PlanCycle::of_step(std::int64_t n) const {
  const auto count = static_cast<std::int64_t>(turns());
  if (full_every == 0) return static_cast<std::size_t>((n - 1) % count);
  if (n % full_every == 0) return plans.size() - 1;
  return static_cast<std::size_t>((n - 1 - (n - 1) / full_every) % count);
}

std::string PlanCycle::name_of(std::int64_t n) const {
  if (since > 0) return fmt::format("planned anew, from step {} on", since);
  if (plans.size() == 1) return "";
  if (full_every > 0 && n % full_every == 0) return "full";
  return fmt::format("plan {} of {}", of_step(n) + 1, turns());
}

std::vector<std::int64_t> PlanCycle::needed_on(int rank) const {
  std::set<std::int64_t> out;
  for (const Plan& plan : plans) {
    for (std::size_t m = 0; m < plan.paths.size(); ++m) {
      const auto& path = plan.paths[m];
      if (path.front().rank == rank || path.back().rank == rank) {
        out.insert(static_cast<std::int64_t>(m));
      }
    }
  }
  return {out.begin(), out.end()};
}

PlanCycle PlanCycle::shortened() const {
  PlanCycle out = *this;
  if (full_every > 0) out.full_every = static_cast<std::int64_t>(plans.size());
  return out;
}

void require_sound(const PlanCycle& cycle) {
  const Plan& first = cycle.plans.front();
  require_sound(first);
  for (std::size_t i = 1; i < cycle.plans.size(); ++i) {
    const std::string problem = takeover_problem(first, cycle.plans[i]);
    if (problem.empty()) continue;
    throw core::Error(core::ErrorKind::kRecipe, fmt::format("plan {} of {} that take turns: {}",
                                                            i + 1, cycle.plans.size(), problem));
  }
}

}  // namespace rw::pipeline
