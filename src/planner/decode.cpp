// Part of Ropewalk, MIT licence.
// The part of Schedule that turns lists into times.
#include <algorithm>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

/// Runs the next operation of a job; false when it must wait for memory.
template <bool kRecord>
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
  if constexpr (kRecord) recorded_.push_back({start, state.next, -1});
  node.free = end + step.gap;
  state.ready = end + step.lag;
  ++state.next;
  return true;
}

/// A backward on `from` has freed memory: the first that waits there goes on as far as it was
/// asked.
template <bool kRecord>
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
      if (!step<kRecord>(job)) break;
      --state.owed;
      if (next.memory < 0 && node_[next.node].waiting >= 0 && depth < 63) {
        stack[depth++] = next.node;
      }
    }
  }
}

template <bool kRecord>
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
    if (!step<kRecord>(job)) {
      state.owed = 1;
    } else if (next.memory < 0 && node_[next.node].waiting >= 0) {
      resume<kRecord>(next.node);
    }
    cost = most_ + weight * sum_;
    if (cost > limit) return cost;
  }
  return waiting_ > 0 ? kNever : cost;
}

int Schedule::load(bool from_start) {
  const int checkpoint = from_start ? 0 : first_changed_ / kStride;
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  sum_ = 0;
  most_ = 0;
  if (checkpoint == 0) {
    for (int job = 0; job < jobs(); ++job) job_[job] = {release(job), job * per_job_, 0};
    for (auto& node : node_) node = {0, 0, node.memory, -1, -1};
  } else {
    std::copy_n(saved_job_.begin() + checkpoint * jobs_count, jobs_count, job_.begin());
    std::copy_n(saved_node_.begin() + checkpoint * nodes, nodes, node_.begin());
    most_ = saved_most_[checkpoint];
  }
  int end = per_job_;
  for (const JobState& state : job_) {
    if (state.next < end) {
      most_ = std::max(most_, state.ready + steps_[state.next].tail);
      sum_ += state.ready + steps_[state.next].rest;
    } else {
      most_ = std::max(most_, state.ready);
      sum_ += state.ready;
    }
    end += per_job_;
  }
  return checkpoint * kStride;
}

double Schedule::evaluate(double limit) {
  if (first_changed_ >= operations()) return cost_;
  const int from = load(false);
  return run<false>(from, limit);
}

void Schedule::keep() {
  load(true);
  recorded_.clear();
  cost_ = run<true>(0, kNever);
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
  if (cost_ == kNever) {
    kept_order_ = order_;
    return;
  }
  sort_by_start();
  save_checkpoints();
}

void Schedule::sort_by_start() {
  // Nearly sorted already.
  for (std::size_t i = 1; i < recorded_.size(); ++i) {
    const Placed moved = recorded_[i];
    std::size_t to = i;
    for (; to > 0 && recorded_[to - 1].start > moved.start; --to) recorded_[to] = recorded_[to - 1];
    recorded_[to] = moved;
  }
  placed_.swap(recorded_);
}

/// Reads the sorted schedule once: states before every kStride-th position, who is before whom on a
/// node, and the ends.
void Schedule::save_checkpoints() {
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  for (int job = 0; job < jobs(); ++job) job_[job] = {release(job), job * per_job_, 0};
  for (auto& node : node_) node = {0, 0, node.memory, -1, -1};
  std::fill(last_on_node_.begin(), last_on_node_.end(), -1);
  makespan_ = 0;
  iteration_ = 0;
  const bool iteration = problem_->objective == Objective::kIteration;
  for (int i = 0; i < operations(); ++i) {
    if (i % kStride == 0) {
      const std::ptrdiff_t checkpoint = i / kStride;
      std::copy_n(job_.begin(), jobs_count, saved_job_.begin() + checkpoint * jobs_count);
      std::copy_n(node_.begin(), nodes, saved_node_.begin() + checkpoint * nodes);
      saved_most_[checkpoint] = iteration ? iteration_ : makespan_;
    }
    Placed& here = placed_[i];
    const Step& step = steps_[here.operation];
    const int job = here.operation / per_job_;
    order_[i] = static_cast<std::uint16_t>(job);
    position_[here.operation] = i;
    here.before_on_node = last_on_node_[step.node];
    last_on_node_[step.node] = i;
    const double end = here.start + step.duration;
    job_[job].ready = end + step.lag;
    ++job_[job].next;
    node_[step.node].free = end + step.gap;
    node_[step.node].held += step.memory;
    if (step.memory >= 0) continue;
    const double reduced = end + reductions_[arrangement_.stage_of(step.node)];
    if (iteration ? reduced > iteration_ : end > makespan_) last_position_ = i;
    makespan_ = std::max(makespan_, end);
    iteration_ = std::max(iteration_, reduced);
  }
  std::copy(order_.begin(), order_.end(), kept_order_.begin());
}

}  // namespace rw::planner
