// Part of Ropewalk, MIT licence.
#include "pipeline/step_numbers.h"

#include <algorithm>
#include <numeric>

namespace rw::pipeline {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// The numbers of `out` one after the other, in one order for reading and writing.
template <class Visit>
void visit_numbers(StepNumbers& out, const Visit& visit) {
  for (double& x : out.loss_sums) visit(x);
  for (double& x : out.loss_tokens) visit(x);
  for (auto& rank : out.stages) {
    for (StageNumbers& stage : rank) {
      visit(stage.squares);
      visit(stage.forward_s);
      visit(stage.backward_s);
    }
  }
  for (double& x : out.busy_ns) visit(x);
  for (double& x : out.elapsed_ns) visit(x);
  visit(out.raised);
}

}  // namespace

double StepNumbers::tokens() const {
  return std::accumulate(loss_tokens.begin(), loss_tokens.end(), 0.0);
}

std::vector<double> StepNumbers::tokens_of_stages(const Plan& plan) const {
  std::vector<double> out(at(plan.stages), 0);
  for (std::size_t m = 0; m < plan.paths.size(); ++m) {
    for (const Visit& visit : plan.paths[m]) out[at(visit.stage)] += loss_tokens[m];
  }
  return out;
}

double StepNumbers::loss() const {
  const double sum = std::accumulate(loss_sums.begin(), loss_sums.end(), 0.0);
  const double count = tokens();
  return count > 0 ? sum / count : sum;
}

double StepNumbers::bubble_pct() const {
  const double busy = std::accumulate(busy_ns.begin(), busy_ns.end(), 0.0);
  const double longest = *std::max_element(elapsed_ns.begin(), elapsed_ns.end());
  const auto ranks = static_cast<double>(busy_ns.size());
  return longest > 0 ? 100 * (1 - busy / (longest * ranks)) : 0;
}

std::vector<StageNumbers> stage_times(const Plan& plan, int rank, const RankTimes& times) {
  const auto& held = plan.stages_of_rank[at(rank)];
  std::vector<StageNumbers> out(held.size());
  const auto stage_of = [&](std::size_t index) -> StageNumbers& {
    const int stage = plan.operations[at(rank)][index].stage;
    const auto place = std::find(held.begin(), held.end(), stage) - held.begin();
    return out[static_cast<std::size_t>(place)];
  };
  for (const Event& event : times.events) {
    if (event.kind == OpKind::kReduce) continue;
    StageNumbers& stage = stage_of(event.index);
    (event.kind == OpKind::kForward ? stage.forward_s : stage.backward_s) += event.span.length();
  }
  for (const Idle& idle : times.idles) {
    if (plan.operations[at(rank)][idle.index].kind != OpKind::kForward) continue;
    stage_of(idle.index).forward_s -= idle.span.length();
  }
  return out;
}

StepNumbers exchange(const Plan& plan, comm::Communicator& world, const Execution& so_far,
                     const std::vector<StageNumbers>& mine, bool flag) {
  StepNumbers out;
  out.loss_sums = so_far.loss_sums;
  out.loss_tokens = so_far.loss_tokens;
  const std::size_t ranks = at(world.size());
  const std::size_t me = at(world.rank());
  for (const auto& held : plan.stages_of_rank) out.stages.emplace_back(held.size());
  out.stages[me] = mine;
  out.busy_ns.assign(ranks, 0);
  out.elapsed_ns.assign(ranks, 0);
  out.busy_ns[me] = static_cast<double>(so_far.busy_ns);
  out.elapsed_ns[me] = static_cast<double>(so_far.elapsed_ns);
  out.raised = flag ? 1 : 0;
  std::vector<double> numbers;
  visit_numbers(out, [&](double& x) { numbers.push_back(x); });
  world.all_reduce_sum(std::span<double>(numbers)).wait();
  std::size_t next = 0;
  visit_numbers(out, [&](double& x) { x = numbers[next++]; });
  return out;
}

}  // namespace rw::pipeline
