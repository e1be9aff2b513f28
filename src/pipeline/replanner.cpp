// Part of Ropewalk, MIT licence.
#include "pipeline/replanner.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "core/error.h"
#include "core/json_reader.h"
#include "pipeline/plan_check.h"

namespace rw::pipeline {

Replanner::~Replanner() {
  if (thread_.joinable()) thread_.join();
}

void Replanner::ask(const Plan& current, const WalkCosts& measured) {
  done_ = false;
  problem_.clear();
  thread_ = std::thread([this, current, measured] {
    try {
      Plan next = replan_(current, measured);
      problem_ = takeover_problem(current, next);
      if (problem_.empty()) answer_ = std::move(next);
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
    done_ = true;
  });
}

std::optional<Plan> Replanner::take() {
  thread_.join();
  return std::exchange(answer_, std::nullopt);
}

std::string takeover_problem(const Plan& current, const Plan& next) {
  if (next.stages_of_rank != current.stages_of_rank || next.head_alone != current.head_alone) {
    return "the new plan moves stages between ranks; want each rank to keep its own";
  }
  if (next.micro_batches() != current.micro_batches()) {
    return fmt::format("the new plan has {} micro-batches; want {}", next.micro_batches(),
                       current.micro_batches());
  }
  for (std::size_t m = 0; m < next.paths.size(); ++m) {
    if (next.paths[m].empty() || next.paths[m].front() != current.paths[m].front()) {
      return fmt::format("the new plan moves the source of micro-batch {}; want it to stay", m);
    }
  }
  return plan_problem(next);
}

Plan share_plan(comm::Communicator& world, const std::optional<Plan>& mine) {
  const std::string text = mine && world.rank() == 0 ? to_json(*mine).dump() : std::string();
  const auto all = world.gather_text(text);
  return plan_from_json(core::parse_json(all.front(), {"the plan that rank 0 sent"}),
                        "the plan that rank 0 sent");
}

}  // namespace rw::pipeline
