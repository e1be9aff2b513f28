// Part of Ropewalk, MIT licence.
#include "pipeline/pace.h"

#include <algorithm>
#include <cmath>

namespace rw::pipeline {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

std::size_t place_of(const std::vector<int>& held, int stage) {
  return static_cast<std::size_t>(std::find(held.begin(), held.end(), stage) - held.begin());
}

}  // namespace

void Pace::add(const Plan& plan, const StepNumbers& numbers) {
  if (seen_++ == 0) return;
  means_.resize(numbers.stages.size());
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const auto& held = plan.stages_of_rank[at(rank)];
    means_[at(rank)].resize(held.size());
    for (std::size_t i = 0; i < held.size(); ++i) {
      const int count = count_visits(plan, {held[i], rank});
      if (count == 0) continue;
      Mean& mean = means_[at(rank)][i];
      const StageNumbers& step = numbers.stages[at(rank)][i];
      const double w = mean.known ? weight_ : 1;
      mean.forward_s += w * (step.forward_s / count - mean.forward_s);
      mean.backward_s += w * (step.backward_s / count - mean.backward_s);
      mean.known = true;
    }
  }
  ++steps_;
}

double Pace::length(const Plan& plan, int rank, const Operation& op) const {
  if (!computes(op.kind)) return 0;
  const Mean& mean = means_.at(at(rank)).at(place_of(plan.stages_of_rank[at(rank)], op.stage));
  if (op.kind == OpKind::kForward) return mean.forward_s;
  return op.kind == OpKind::kBackward ? mean.backward_s : mean.backward_s / 2;
}

std::vector<double> Pace::busy_s(const Plan& plan) const {
  std::vector<double> out(plan.operations.size(), 0);
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const Operation& op : plan.operations[at(rank)]) out[at(rank)] += length(plan, rank, op);
  }
  return out;
}

CostFunctions Pace::costs(const Plan& plan) const {
  return {[this, &plan](int rank, const Operation& op) { return length(plan, rank, op); },
          [](int, int) { return 0.0; }};
}

WalkCosts Pace::walk_costs(const Plan& plan) const {
  WalkCosts out;
  double forward = 0;
  double backward = 0;
  double loss = 0;
  double loss_base = 0;  // forwards of the ranks that have a loss
  double known = 0;
  for (std::size_t rank = 0; rank < means_.size(); ++rank) {
    const auto& held = plan.stages_of_rank[rank];
    for (std::size_t i = 0; i < held.size(); ++i) {
      const Mean& mean = means_[rank][i];
      if (!mean.known) continue;
      if (plan.head_alone && held[i] + 1 == plan.stages) {
        loss += mean.forward_s + mean.backward_s;
        loss_base += means_[rank].front().forward_s;
      } else {
        forward += mean.forward_s;
        backward += mean.backward_s;
        known += 1;
      }
    }
  }
  for (std::size_t rank = 0; rank < means_.size(); ++rank) {
    const Mean& first = means_[rank].front();
    out.forward_s.push_back(first.known ? first.forward_s : forward / std::max(1.0, known));
  }
  out.backward_factor = forward > 0 ? backward / forward : 2;
  out.loss_factor = loss_base > 0 ? loss / loss_base : 0;
  out.transfer_s.assign(means_.size(), std::vector<double>(means_.size(), 0));
  for (std::size_t rank = 0; rank < means_.size(); ++rank) {
    const auto& held = plan.stages_of_rank[rank];
    const bool head = std::find(held.begin(), held.end(), plan.stages - 1) != held.end();
    out.memory.push_back(plan.live_bound[rank] - (plan.head_alone && head ? 1 : 0));
  }
  return out;
}

std::vector<double> predicted_busy_s(const Plan& plan) {
  std::vector<double> out;
  for (std::size_t rank = 0; rank < plan.predicted.size(); ++rank) {
    out.push_back(0);
    for (std::size_t i = 0; i < plan.predicted[rank].size(); ++i) {
      if (computes(plan.operations[rank][i].kind)) {
        out.back() += plan.predicted[rank][i].length();
      }
    }
  }
  return out;
}

Disagreement disagreement(const std::vector<double>& predicted_s,
                          const std::vector<double>& measured_s) {
  Disagreement out;
  for (std::size_t rank = 0; rank < predicted_s.size(); ++rank) {
    if (predicted_s[rank] <= 0) continue;
    const double share = std::abs(measured_s[rank] / predicted_s[rank] - 1);
    if (share > out.share) out = {share, static_cast<int>(rank)};
  }
  return out;
}

}  // namespace rw::pipeline
