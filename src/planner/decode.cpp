// Part of Ropewalk, MIT licence.
// The part of Schedule that turns lists into times.
#include <algorithm>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

/// Split: the W's in front of the next operation of a job.
inline void Schedule::run_weights(NodeState& node, const Step& step, const JobState& job) {
  int run = 0;
  if (node.weights > 0) {
    const double each = weight_s_[step.node] + problem_->gap_s;
    run = std::min<int>(node.weights, urgent_[job.next]);
    if (step.memory > 0 && run == 0 && node.held == node.memory) run = 1;
    node.free += run * each;
    for (; run < node.weights && node.free + each <= job.ready; ++run) node.free += each;
    node.weights -= run;
    node.held = static_cast<std::int16_t>(node.held - run);
  }
  tried_weights_[job.next] = run;
}

double Schedule::reduction_behind(int node) const {
  if (problem_->objective == Objective::kMakespan) return 0;
  return reductions_[arrangement_.stage_of(node)];
}

/// When all that waits for a node's W's is done, if they come now.
inline double Schedule::weights_end(int node) const {
  const NodeState& state = node_[node];
  const double each = weight_s_[node] + problem_->gap_s;
  return state.free + state.weights * each - problem_->gap_s + reduction_behind(node);
}

/// Runs the next operation of a job; false when it must wait for memory.
template <bool kSplit>
inline bool Schedule::step(int job, Clock& clock) {
  JobState& state = job_[job];
  const Step& step = steps_[state.next];
  NodeState& node = node_[step.node];
  const bool full = (step.memory > 0) & (node.held == node.memory);
  if (full && (!kSplit || node.weights == 0)) {
    Queue& queue = queues_[step.node];
    (queue.first < 0 ? queue.first : after_[queue.last]) = job;
    queue.last = job;
    after_[job] = -1;
    ++waiting_;
    return false;
  }
  if constexpr (kSplit) {
    run_weights(node, step, state);
    if (step.memory > 0) ++node.held;
    if (step.memory < 0) ++node.weights;
  } else {
    node.held = static_cast<std::int16_t>(node.held + step.memory);
  }
  const double start = std::max(state.ready, node.free);
  clock.sum += start - state.ready;
  clock.most = std::max(clock.most, start + step.tail);
  const double end = start + step.duration;
  *clock.recorded++ = {start, state.next, -1};
  node.free = end + step.gap;
  if constexpr (kSplit) {
    if (node.weights > 0) clock.most = std::max(clock.most, weights_end(step.node));
  }
  state.ready = end + step.lag;
  ++state.next;
  return true;
}

/// A backward on `from` has freed memory: the first that waits there goes on as far as it was
/// asked.
template <bool kSplit>
Schedule::Clock Schedule::resume(int from, Clock clock) {
  resumed_.push_back(from);
  while (!resumed_.empty()) {
    const NodeState& node = node_[resumed_.back()];
    Queue& queue = queues_[resumed_.back()];
    resumed_.pop_back();
    if (queue.first < 0 || (node.held == node.memory && (!kSplit || node.weights == 0))) continue;
    const int job = queue.first;
    queue.first = after_[job];
    --waiting_;
    JobState& state = job_[job];
    while (state.owed > 0) {
      const Step& next = steps_[state.next];
      if (!step<kSplit>(job, clock)) break;
      --state.owed;
      if (next.memory < 0 && queues_[next.node].first >= 0) resumed_.push_back(next.node);
    }
  }
  return clock;
}

/// The checkpoint behind the last change, where all is as it was but the times; -1: there is none.
int Schedule::settled() const {
  const int checkpoint = (last_changed_ + kStride) / kStride;
  return followed_ && checkpoint * kStride < operations() ? checkpoint : -1;
}

template <bool kSplit>
double Schedule::run(int from, double limit) {
  const int count = operations();
  const int checkpoint = kSplit ? -1 : settled();
  const int settled_at = checkpoint * kStride;
  const double weight = mean_weight_ / static_cast<double>(jobs_.size());
  Clock clock{most_, sum_, recorded_.data() + from};
  double cost = clock.most + weight * clock.sum;
  if (waiting_ > 0) std::fill(queues_.begin(), queues_.end(), Queue{});  // an earlier run broke off
  waiting_ = 0;
  for (int i = from; i < count; ++i) {
    if (i == settled_at && waiting_ == 0) {
      unchanged_ = only_order_changed() && as_kept(checkpoint);
      if (unchanged_) return cost;
      cost = std::max(clock.most, followed(checkpoint)) + weight * clock.sum;
      if (cost > limit) return cost;
    }
    const int job = order_[i];
    JobState& state = job_[job];
    if (state.owed > 0) {
      ++state.owed;
      continue;
    }
    const Step& next = steps_[state.next];
    if (!step<kSplit>(job, clock)) {
      state.owed = 1;
    } else if (waiting_ > 0 && next.memory < 0 && queues_[next.node].first >= 0) {
      clock = resume<kSplit>(next.node, clock);
    }
    cost = clock.most + weight * clock.sum;
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
  if (split()) {
    for (int node = 0; node < node_.count(); ++node) {
      if (node_[node].weights > 0) most_ = std::max(most_, weights_end(node));
    }
  }
  return checkpoint * kStride;
}

void Schedule::load_states(int checkpoint) {
  if (checkpoint == 0) {
    for (int job = 0; job < jobs(); ++job) job_[job] = {release(job), job * per_job_, 0};
    for (auto& node : node_) node = {0, 0, node.memory, -1, 0};
    return;
  }
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  std::copy_n(saved_job_.begin() + checkpoint * jobs_count, jobs_count, job_.begin());
  std::copy_n(saved_node_.begin() + checkpoint * nodes, nodes, node_.begin());
}

double Schedule::evaluate(double limit) {
  const double owed_s = owed();
  limit -= owed_s;
  unchanged_ = false;
  evaluated_cost_ = evaluate_list(limit);
  if (unchanged_) return evaluated_cost_ = cost_;
  // Contention delays alone, so that what is too late without it need not be looked at.
  if (traffic_ && evaluated_cost_ <= limit && evaluated_cost_ < kNever) {
    evaluated_cost_ = retime(limit);
  }
  evaluated_cost_ += owed_s;
  return evaluated_cost_;
}

double Schedule::evaluate_list(double limit) {
  if (!lifted_.empty()) place_lifted();
  if (!split()) follow_in_time();
  evaluated_from_ = load();
  return split() ? run<true>(evaluated_from_, limit) : run<false>(evaluated_from_, limit);
}

/// The cost of the order that the list gave, with its transfers in each other's way.
double Schedule::retime(double limit) {
  const bool makespan = problem_->objective == Objective::kMakespan;
  for (auto& node : node_) node.weights = 0;
  for (int i = 0; i < operations(); ++i) {
    const bool kept = i < evaluated_from_;
    const int operation = kept ? placed_[i].operation : recorded_[i].operation;
    sequence_[i] = operation;
    if (!split()) continue;
    const Step& step = steps_[operation];
    const int run = kept ? weights_[operation] : tried_weights_[operation];
    wait_behind_[operation] = run * (weight_s_[step.node] + problem_->gap_s);
    node_[step.node].weights += (step.memory < 0 ? 1 : 0) - run;
    node_[step.node].last = operation;
  }
  const double weight = mean_weight_ / static_cast<double>(jobs_.size());
  double cost = traffic_->run({steps_, sequence_, wait_behind_, releases_},
                              makespan ? 0 : max_reduction(), weight, limit);
  if (!split() || cost > limit) return cost;
  const double mean = weight * traffic_->ends_sum();
  for (int node = 0; node < node_.count(); ++node) {
    if (node_[node].weights == 0) continue;
    const int last = node_[node].last;
    node_[node].free = traffic_->starts()[last] + steps_[last].duration + steps_[last].gap;
    cost = std::max(cost, weights_end(node) + mean);
  }
  return cost;
}

void Schedule::keep() {
  if (unchanged_) return revert();  // there is nothing to keep
  cost_ = evaluated_cost_;
  followed_ = false;
  asked_ = 0;
  penalty_ = owed();
  if (traffic_) actual_ = traffic_->starts();
  for (const int operation : dirty_urgent_) kept_urgent_[operation] = urgent_[operation];
  if (split()) {
    for (int i = evaluated_from_; i < operations(); ++i) {
      const int operation = recorded_[i].operation;
      weights_[operation] = tried_weights_[operation];
    }
  }
  for (const int job : dirty_jobs_) {
    const auto from = std::ptrdiff_t{job} * length_;
    std::copy_n(tried_path_.begin() + from, length_, kept_path_.begin() + from);
    const auto op = std::ptrdiff_t{job} * per_job_;
    std::copy_n(steps_.begin() + op, per_job_, kept_steps_.begin() + op);
    dirty_[job] = 0;
    lifted_from_[job] = operations();
  }
  dirty_jobs_.clear();
  swapped_nodes_.clear();
  forget_changes();
  const int lowest = take_recorded(evaluated_from_);
  save_checkpoints(lowest / kStride);
  if (traffic_) take_ends();
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

/// What stands at `position` gives a gradient back on `node` until `end`.
inline void Schedule::take_end(Ends& ends, double end, int node, int position) const {
  const double reduced = end + reductions_[arrangement_.stage_of(node)];
  const bool iteration = problem_->objective == Objective::kIteration;
  if (iteration ? reduced >= ends.iteration : end >= ends.makespan) ends.last_position = position;
  ends.makespan = std::max(ends.makespan, end);
  ends.iteration = std::max(ends.iteration, reduced);
}

/// The turn of what stands at a position, behind what stands at position `last` on its node, if any.
inline void Schedule::take_kept_turn(int position, int node, int last) {
  const Placed& here = placed_[position];
  const int before = last < 0 ? operations() + node : placed_[last].operation;
  kept_turns_[here.operation] = turns_[here.operation] = {here.start, before, -1};
  kept_turns_[before].after = turns_[before].after = here.operation;
}

/// Reads the kept list once from a checkpoint on: states before every kStride-th position, who is
/// before whom on a node, and the ends.
void Schedule::save_checkpoints(int checkpoint) {
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  load_states(checkpoint);
  for (int node = 0; node < node_.count(); ++node) {
    const int last = node_[node].last;
    const int operation = last < 0 ? operations() + node : placed_[last].operation;
    kept_turns_[operation].after = turns_[operation].after = -1;
  }
  // Of no other backward does anything but `iteration` depend.
  const bool jobs_alone = problem_->objective == Objective::kMakespan && !split();
  // A stage that nobody visits reduces at once.
  Ends ends = checkpoint == 0 ? Ends{0, max_reduction(), 0} : saved_[checkpoint];
  for (int i = checkpoint * kStride;; ++i) {
    if (i % kStride == 0) {  // the end too: what changes no operation is evaluated from there
      const std::ptrdiff_t at = i / kStride;
      std::copy_n(job_.begin(), jobs_count, saved_job_.begin() + at * jobs_count);
      std::copy_n(node_.begin(), nodes, saved_node_.begin() + at * nodes);
      saved_[at] = ends;
    }
    if (i == operations()) break;
    Placed& here = placed_[i];
    const Step& step = steps_[here.operation];
    const int job = job_of_[here.operation];
    NodeState& node = node_[step.node];
    take_kept_turn(i, step.node, node.last);
    order_[i] = static_cast<std::uint16_t>(job);
    kept_order_[i] = order_[i];
    position_[here.operation] = i;
    here.before_on_node = node.last;
    held_[i] = node.held;
    const double end = here.start + step.duration;
    job_[job].ready = end + step.lag;
    ++job_[job].next;
    node.last = i;
    node.free = end + step.gap;
    if (split()) {
      const int run = weights_[here.operation];
      node.held = static_cast<std::int16_t>(node.held + (step.memory > 0 ? 1 : 0) - run);
      node.weights += (step.memory < 0 ? 1 : 0) - run;
    } else {
      node.held = static_cast<std::int16_t>(node.held + step.memory);
    }
    const bool counts = jobs_alone ? here.operation + 1 == (job + 1) * per_job_ : step.memory < 0;
    if (!counts) continue;
    take_end(ends, end, step.node, i);
  }
  if (split()) end_weights(ends);
  ends_ = ends;
}

double Schedule::iteration() const {
  if (problem_->objective == Objective::kIteration || split()) return ends_.iteration;
  double out = max_reduction();
  for (int i = 0; i < operations(); ++i) {
    const Step& step = kept_steps_[placed_[i].operation];
    if (step.memory >= 0) continue;
    out =
        std::max(out, start_at(i) + step.duration + reductions_[arrangement_.stage_of(step.node)]);
  }
  return out;
}

/// Behind each node's last operation the rest of its W's run.
void Schedule::end_weights(Ends& ends) const {
  for (int node = 0; node < node_.count(); ++node) {
    if (node_[node].weights == 0) continue;
    const double end = weights_end(node) - reduction_behind(node);
    take_end(ends, end, node, node_[node].last);
  }
}

/// Contention: the ends of the kept schedule by its actual times.
void Schedule::take_ends() {
  Ends ends{0, max_reduction(), 0};
  for (int i = 0; i < operations(); ++i) {
    const Step& step = steps_[placed_[i].operation];
    const double end = start_at(i) + step.duration;
    node_[step.node].free = end + step.gap;
    if (step.memory >= 0) continue;
    take_end(ends, end, step.node, i);
  }
  if (split()) end_weights(ends);
  ends_ = ends;
}

List<double> Schedule::weight_starts() const {
  List<double> out = filled(operations(), 0.0);
  if (!split()) return out;
  List<List<int>> waiting(node_.size());
  List<double> free(node_.size());
  List<std::size_t> done(node_.size());
  const auto run = [&](int node) {
    out[waiting[node][done[node]++]] = free[node];
    free[node] += weight_s_[node] + problem_->gap_s;
  };
  for (int i = 0; i < operations(); ++i) {
    const int operation = placed_[i].operation;
    const Step& step = kept_steps_[operation];
    for (int k = 0; k < weights_[operation]; ++k) run(step.node);
    free[step.node] = start_at(i) + step.duration + step.gap;
    if (step.memory < 0) waiting[step.node].push_back(operation);
  }
  for (int node = 0; node < node_.count(); ++node) {
    while (done[node] < waiting[node].size()) run(node);
  }
  return out;
}

}  // namespace rw::planner
