// Part of Ropewalk, MIT licence.
#include "planner/moves.h"

#include <algorithm>
#include <cstddef>

namespace rw::planner {

namespace {
constexpr int kUrgentShare = 10;  // of 100 changes of a schedule with W's
}  // namespace

Moves::Moves(Schedule& schedule, Dice& dice, Placement placement)
    : schedule_(schedule),
      dice_(dice),
      placement_(placement),
      slots_(strict_slots(schedule.problem())) {}

/// Walks a critical path from its end: of the objective mostly, sometimes of any job.
void Moves::trace() {
  traced_ = true;
  arcs_.clear();
  critical_.clear();
  const int per_job = schedule_.operations_per_job();
  int at = schedule_.last_position();
  if (dice_.below(4) == 0) {
    const int job = dice_.below(schedule_.jobs());
    at = schedule_.position_of(job * per_job + per_job - 1);
  }
  for (;;) {
    critical_.push_back(at);
    const Placed& here = schedule_.at(at);
    if (schedule_.bound_by_node(at)) {
      arcs_.emplace_back(here.before_on_node, at);
      at = here.before_on_node;
    } else if (here.operation % per_job > 0) {
      at = schedule_.position_of(here.operation - 1);
    } else {
      return;
    }
  }
}

bool Moves::propose() {
  constexpr int kRetrace = 32;
  if (!traced_ || ++proposals_ % kRetrace == 0) trace();
  if (placement_ == Placement::kOpen && dice_.below(100) < 4) return swap_groups();
  if (schedule_.problem().weight_factor && dice_.below(100) < kUrgentShare) return change_urgent();
  const int draw = dice_.below(100);
  if (draw < 12) return change_critical_order();
  if (draw < 16) return change_any_order();
  if (draw < 20) return exchange_same_kind();
  return change_path();
}

/// N1 and N6 on a block: neighbours change places, or an end goes to the other end of its block.
bool Moves::change_critical_order() {
  if (arcs_.empty()) return false;
  const int arc = dice_.below(static_cast<int>(arcs_.size()));
  int first = arcs_[arc].first;
  int last = arcs_[arc].second;
  if (dice_.below(3) == 0) {
    // Further along the node's queue, up to the whole block.
    const int steps = 1 + dice_.below(4);
    for (int i = arc + 1, k = 0; k < steps && i < static_cast<int>(arcs_.size()); ++i, ++k) {
      if (arcs_[i].second != first) break;
      first = arcs_[i].first;
    }
  }
  if (schedule_.job_at(first) == schedule_.job_at(last)) return false;
  // A forward cannot come before the backward that makes room for it.
  if (first == arcs_[arc].first && schedule_.waits_for(first, last)) return false;
  if (dice_.below(2) == 0) {
    schedule_.pull(first, last);
  } else {
    schedule_.push(first, last);
  }
  return true;
}

/// One W more in front of an operation, which it may delay; or none that must.
bool Moves::change_urgent() {
  const int at = dice_.below(2) == 0 ? dice_.below(schedule_.operations())
                                     : critical_[dice_.below(static_cast<int>(critical_.size()))];
  const int operation = schedule_.at(at).operation;
  const int urgent = schedule_.urgent(operation);
  if (urgent > 0 && dice_.below(2) == 0) {
    schedule_.set_urgent(operation, dice_.below(2) == 0 ? 0 : urgent - 1);
  } else {
    schedule_.set_urgent(operation, schedule_.weights_before(operation) + 1);
  }
  return true;
}

bool Moves::change_any_order() {
  const int count = schedule_.operations();
  const int at = dice_.below(2) == 0 ? dice_.below(count)
                                     : critical_[dice_.below(static_cast<int>(critical_.size()))];
  constexpr int kWindow = 24;
  const int to = std::clamp(at + dice_.below(2 * kWindow + 1) - kWindow, 0, count - 1);
  if (to == at || !schedule_.reorders(at, to)) return false;
  if (to < at) {
    schedule_.pull(to, at);
  } else {
    schedule_.push(at, to);
  }
  return true;
}

/// Two micro-batches exchange their turns on a node: F with F, B with B.
bool Moves::exchange_same_kind() {
  int at = critical_[dice_.below(static_cast<int>(critical_.size()))];
  if (dice_.below(3) == 0) at = dice_.below(schedule_.operations());
  const int kind = schedule_.memory_of(schedule_.at(at).operation);
  int before = schedule_.at(at).before_on_node;
  int skip = dice_.below(3);
  while (before >= 0 &&
         (schedule_.memory_of(schedule_.at(before).operation) != kind || skip-- > 0)) {
    before = schedule_.at(before).before_on_node;
  }
  if (before < 0 || schedule_.job_at(before) == schedule_.job_at(at)) return false;
  schedule_.swap_entries(before, at);
  return true;
}

int Moves::pick_job() {
  if (dice_.below(2) == 0) return dice_.below(schedule_.jobs());
  return schedule_.job_at(critical_[dice_.below(static_cast<int>(critical_.size()))]);
}

bool Moves::change_path() {
  if (schedule_.problem().path_length < 2) return false;
  const int job = pick_job();
  const int draw = dice_.below(100);
  const bool changed = draw < 40   ? replace_node(job)
                       : draw < 80 ? exchange_nodes(job)
                       : draw < 95 ? exchange_tails(job)
                                   : reorder_path(job);
  if (!changed) return false;
  if (dice_.below(4) != 0) {
    schedule_.reinsert(dice_.below(4) != 0);
  } else if (dice_.below(2) == 0) {
    shift_operation(job);
  }
  return true;
}

/// Another turn on its node for an operation of a job, that its new path may need.
void Moves::shift_operation(int job) {
  const int per_job = schedule_.operations_per_job();
  const int at = schedule_.position_of(job * per_job + 1 + dice_.below(per_job - 1));
  constexpr int kWindow = 12;
  const int to =
      std::clamp(at + dice_.below(2 * kWindow + 1) - kWindow, 0, schedule_.operations() - 1);
  if (to < at) schedule_.pull(to, at);
  if (to > at) schedule_.push(at, to);
}

/// Whether a path over these nodes keeps the rules of order; sorts it by stage when only that helps.
bool Moves::allowed(List<int>& nodes) {
  const Problem& p = schedule_.problem();
  const auto read = [&] {
    stages_.clear();
    for (const int node : nodes) stages_.push_back(schedule_.arrangement().stage_of(node));
  };
  read();
  if (path_allowed(p.rules, stages_.data(), p.path_length)) return true;
  std::sort(nodes.begin() + 1, nodes.end(), [&](int a, int b) {
    return schedule_.arrangement().stage_of(a) < schedule_.arrangement().stage_of(b);
  });
  read();
  return path_allowed(p.rules, stages_.data(), p.path_length);
}

bool Moves::apply(int job, List<int>& nodes) {
  const int* path = schedule_.path(job);
  bool changed = false;
  for (int k = 1; k < static_cast<int>(nodes.size()); ++k) {
    if (path[k] == nodes[k]) continue;
    schedule_.set_node(job, k, nodes[k]);
    changed = true;
  }
  return changed;
}

bool Moves::replace_node(int job) {
  const Problem& p = schedule_.problem();
  const Arrangement& arrangement = schedule_.arrangement();
  const int index = 1 + dice_.below(p.path_length - 1);
  const int old = schedule_.path(job)[index];
  const int stage = arrangement.stage_of(old);
  int node = 0;
  if (dice_.below(4) != 0) {
    const auto& group = arrangement.group(stage);
    node = group[dice_.below(static_cast<int>(group.size()))];
  } else {
    node = dice_.below(p.size());
  }
  const int to = arrangement.stage_of(node);
  if (node == old || to == 0) return false;
  if (schedule_.track() == Track::kStrict && schedule_.routed(node) >= slots_) {
    return false;
  }
  if (to != stage && schedule_.visits(to) + schedule_.waves() > p.rules.stage_quota) return false;
  nodes_.assign(schedule_.path(job), schedule_.path(job) + p.path_length);
  nodes_[index] = node;
  if (to != stage && !allowed(nodes_)) return false;
  return apply(job, nodes_);
}

bool Moves::exchange_nodes(int job) {
  const Problem& p = schedule_.problem();
  const int other = dice_.below(schedule_.jobs());
  if (other == job) return false;
  const int a = 1 + dice_.below(p.path_length - 1);
  int b = 1 + dice_.below(p.path_length - 1);
  nodes_.assign(schedule_.path(job), schedule_.path(job) + p.path_length);
  others_.assign(schedule_.path(other), schedule_.path(other) + p.path_length);
  if (dice_.below(2) == 0) {
    // The same stage, when both visit it.
    const int stage = schedule_.arrangement().stage_of(nodes_[a]);
    for (int k = 1; k < p.path_length; ++k) {
      if (schedule_.arrangement().stage_of(others_[k]) == stage) b = k;
    }
  }
  if (nodes_[a] == others_[b]) return false;
  std::swap(nodes_[a], others_[b]);
  if (!allowed(nodes_) || !allowed(others_)) return false;
  apply(job, nodes_);
  apply(other, others_);
  return true;
}

bool Moves::exchange_tails(int job) {
  const Problem& p = schedule_.problem();
  const int other = dice_.below(schedule_.jobs());
  if (other == job) return false;
  const int from = 1 + dice_.below(p.path_length - 1);
  nodes_.assign(schedule_.path(job), schedule_.path(job) + p.path_length);
  others_.assign(schedule_.path(other), schedule_.path(other) + p.path_length);
  for (int k = from; k < p.path_length; ++k) std::swap(nodes_[k], others_[k]);
  if (nodes_ == others_ || !allowed(nodes_) || !allowed(others_)) return false;
  const bool one = apply(job, nodes_);
  return apply(other, others_) || one;
}

bool Moves::reorder_path(int job) {
  const Problem& p = schedule_.problem();
  if (p.rules.max_swaps == 0 || p.path_length < 3) return false;
  const int index = 1 + dice_.below(p.path_length - 2);
  nodes_.assign(schedule_.path(job), schedule_.path(job) + p.path_length);
  std::swap(nodes_[index], nodes_[index + 1]);
  stages_.clear();
  for (const int node : nodes_) stages_.push_back(schedule_.arrangement().stage_of(node));
  if (!path_allowed(p.rules, stages_.data(), p.path_length)) return false;
  return apply(job, nodes_);
}

/// Two nodes exchange groups: their paths stay with the group (roles), or with the node (labels).
bool Moves::swap_groups() {
  const Problem& p = schedule_.problem();
  const Arrangement& arrangement = schedule_.arrangement();
  const int a = dice_.below(p.size());
  const int b = dice_.below(p.size());
  const int one = arrangement.stage_of(a);
  const int other = arrangement.stage_of(b);
  if (one == other) return false;
  const double before = schedule_.max_reduction();
  if (one > 0 && other > 0 && dice_.below(2) == 0) {
    if (!swap_labels(a, b)) return false;
  } else {
    if (p.alike(a, b)) return false;
    if (schedule_.track() == Track::kStrict && ((one == 0 && p.nodes[b].memory != slots_) ||
                                                (other == 0 && p.nodes[a].memory != slots_))) {
      return false;
    }
    schedule_.swap_roles(a, b);
    if (dice_.below(2) == 0) schedule_.reinsert(dice_.below(4) != 0);
  }
  if (p.objective == Objective::kMakespan &&
      schedule_.max_reduction() > std::max(before, p.reduction.max_s)) {
    schedule_.revert();
    return false;
  }
  return true;
}

bool Moves::swap_labels(int a, int b) {
  const Problem& p = schedule_.problem();
  schedule_.swap_labels(a, b);
  bool possible = true;
  for (const int node : {a, b}) {
    const int stage = schedule_.arrangement().stage_of(node);
    possible = possible && schedule_.visits(stage) <= p.rules.stage_quota;
  }
  for (int job = 0; possible && job < schedule_.jobs(); ++job) {
    const int* path = schedule_.path(job);
    const int* end = path + p.path_length;
    if (std::find(path, end, a) == end && std::find(path, end, b) == end) continue;
    nodes_.assign(path, end);
    possible = allowed(nodes_);
    if (possible) apply(job, nodes_);
  }
  if (!possible) schedule_.revert();
  return possible;
}

}  // namespace rw::planner
