// Part of Ropewalk, MIT licence.
// The part of Schedule that turns lists into times.
#include <algorithm>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

/// Runs the next operation of a job; false when it must wait for memory.
inline bool Schedule::step(int job) {
  JobState& state = job_[job];
  const Step& step = steps_[state.next];
  NodeState& node = node_[step.node];
  if (step.memory > 0 && node.held == node.memory) {
    (node.waiting < 0 ? node.waiting : after_[node.last_waiting]) = job;
    node.last_waiting = job;
    after_[job] = -1;
    ++waiting_;
    return false;
  }
  node.held += step.memory;
  double start = state.ready;
  if (node.free > start) {
    sum_ += node.free - start;
    start = node.free;
    most_ = std::max(most_, start + step.tail);
  }
  const double end = start + step.duration;
  recorded_[recorded_count_++] = {start, state.next, -1};
  node.free = end + step.gap;
  state.ready = end + step.lag;
  ++state.next;
  return true;
}

/// A backward on `from` has freed memory: the first that waits there goes on as far as it was
/// asked.
void Schedule::resume(int from) {
  int stack[64];
  int depth = 0;
  stack[depth++] = from;
  while (depth > 0) {
    NodeState& node = node_[stack[--depth]];
    if (node.waiting < 0 || node.held == node.memory) continue;
    const int job = node.waiting;
    node.waiting = after_[job];
    --waiting_;
    JobState& state = job_[job];
    while (state.owed > 0) {
      const Step& next = steps_[state.next];
      if (!step(job)) break;
      --state.owed;
      if (next.memory < 0 && node_[next.node].waiting >= 0 && depth < 63) {
        stack[depth++] = next.node;
      }
    }
  }
}

double Schedule::run(int from, double limit) {
  const int count = operations();
  const double weight = mean_weight_ / static_cast<double>(jobs_.size());
  double cost = most_ + weight * sum_;
  waiting_ = 0;
  for (int i = from; i < count; ++i) {
    const int job = order_[i];
    JobState& state = job_[job];
    if (state.owed > 0) {
      ++state.owed;
      continue;
    }
    const Step& next = steps_[state.next];
    if (!step(job)) {
      state.owed = 1;
    } else if (next.memory < 0 && node_[next.node].waiting >= 0) {
      resume(next.node);
    }
    cost = most_ + weight * sum_;
    if (cost > limit) return cost;
  }
  return waiting_ > 0 ? kNever : cost;
}

int Schedule::load() {
  const int checkpoint = first_changed_ / kStride;
  load_states(checkpoint);
  // What the changed jobs had ahead of them may have been more.
  sum_ = 0;
  most_ = problem_->objective == Objective::kMakespan
              ? saved_[checkpoint].makespan
              : std::max(checkpoint > 0 ? saved_[checkpoint].iteration : 0, max_reduction());
  int end = per_job_;
  for (const JobState& state : job_) {
    double tail = 0, rest = 0;
    if (state.next < end) {
      tail = steps_[state.next].tail;
      rest = steps_[state.next].rest;
    }
    most_ = std::max(most_, state.ready + tail);
    sum_ += state.ready + rest;
    end += per_job_;
  }
  return checkpoint * kStride;
}

void Schedule::load_states(int checkpoint) {
  if (checkpoint == 0) {
    for (int job = 0; job < jobs(); ++job) job_[job] = {release(job), job * per_job_, 0};
    for (auto& node : node_) node = {0, 0, node.memory, -1, -1, -1};
    return;
  }
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  std::copy_n(saved_job_.begin() + checkpoint * jobs_count, jobs_count, job_.begin());
  std::copy_n(saved_node_.begin() + checkpoint * nodes, nodes, node_.begin());
}

double Schedule::evaluate(double limit) {
  evaluated_from_ = load();
  recorded_count_ = evaluated_from_;
  evaluated_cost_ = run(evaluated_from_, limit);
  return evaluated_cost_;
}

void Schedule::keep() {
  cost_ = evaluated_cost_;
  for (const int job : dirty_jobs_) {
    const auto from = std::ptrdiff_t{job} * length_;
    std::copy_n(tried_path_.begin() + from, length_, kept_path_.begin() + from);
    const auto op = std::ptrdiff_t{job} * per_job_;
    std::copy_n(steps_.begin() + op, per_job_, kept_steps_.begin() + op);
    dirty_[job] = 0;
  }
  dirty_jobs_.clear();
  swapped_nodes_.clear();
  forget_changes();
  const int lowest = take_recorded(evaluated_from_);
  save_checkpoints(lowest / kStride);
}

/// Takes what ran from position `from` on into the kept list, sorted by start (nearly sorted
/// already); the first position that changed.
int Schedule::take_recorded(int from) {
  int lowest = from;
  for (int i = from; i < operations(); ++i) {
    const Placed moved = recorded_[i];
    int to = i;
    for (; to > 0 && placed_[to - 1].start > moved.start; --to) placed_[to] = placed_[to - 1];
    placed_[to] = moved;
    lowest = std::min(lowest, to);
  }
  return lowest;
}

/// Reads the kept list once from a checkpoint on: states before every kStride-th position, who is
/// before whom on a node, and the ends.
void Schedule::save_checkpoints(int checkpoint) {
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  load_states(checkpoint);
  // A stage that nobody visits reduces at once.
  Ends ends = checkpoint == 0 ? Ends{0, max_reduction(), 0} : saved_[checkpoint];
  const bool iteration = problem_->objective == Objective::kIteration;
  for (int i = checkpoint * kStride; i < operations(); ++i) {
    if (i % kStride == 0) {
      const std::ptrdiff_t at = i / kStride;
      std::copy_n(job_.begin(), jobs_count, saved_job_.begin() + at * jobs_count);
      std::copy_n(node_.begin(), nodes, saved_node_.begin() + at * nodes);
      saved_[at] = ends;
    }
    Placed& here = placed_[i];
    const Step& step = steps_[here.operation];
    const int job = here.operation / per_job_;
    NodeState& node = node_[step.node];
    order_[i] = static_cast<std::uint16_t>(job);
    kept_order_[i] = order_[i];
    position_[here.operation] = i;
    here.before_on_node = node.last;
    const double end = here.start + step.duration;
    job_[job].ready = end + step.lag;
    ++job_[job].next;
    node.last = i;
    node.free = end + step.gap;
    node.held += step.memory;
    if (step.memory >= 0) continue;
    const double reduced = end + reductions_[arrangement_.stage_of(step.node)];
    if (iteration ? reduced >= ends.iteration : end >= ends.makespan) ends.last_position = i;
    ends.makespan = std::max(ends.makespan, end);
    ends.iteration = std::max(ends.iteration, reduced);
  }
  ends_ = ends;
}

}  // namespace rw::planner
