// Part of Ropewalk, MIT licence.
#include "planner/traffic.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace rw::planner {

namespace {
constexpr double kNotYet = -1;
constexpr double kNever = std::numeric_limits<double>::infinity();

const Step& step_in(const Traffic::Order& order, int operation) {
  return order.steps[static_cast<std::size_t>(operation)];
}
}  // namespace

Traffic::Traffic(const Problem& problem, int operations, int per_job)
    : contention_(problem.contention), per_job_(per_job) {
  start_ = filled(operations, 0.0);
  arrived_ = start_;
  next_on_node_ = filled(operations, -1);
  head_ = filled(problem.size(), -1);
  free_ = out_free_ = in_free_ = filled(problem.size(), 0.0);
  out_ways_ = in_ways_ = filled(problem.size(), 0);
}

void Traffic::set_out(const Order& order) {
  order_ = order;
  now_ = 0;
  asks_.clear();
  ways_.clear();
  std::fill(arrived_.begin(), arrived_.end(), kNotYet);
  for (auto* list : {&free_, &out_free_, &in_free_}) std::fill(list->begin(), list->end(), 0.0);
  for (auto* list : {&out_ways_, &in_ways_}) std::fill(list->begin(), list->end(), 0);
  std::fill(head_.begin(), head_.end(), -1);
  for (auto at = order.sequence.rbegin(); at != order.sequence.rend(); ++at) {
    int& head = head_[step_in(order_, *at).node];
    next_on_node_[*at] = head;
    head = *at;
  }
}

double Traffic::run(const Order& order, double most, double weight, double limit) {
  set_out(order);
  most_ = most;
  sum_ = 0;
  const int jobs = static_cast<int>(order.releases.size());
  for (int job = 0; job < jobs; ++job) {
    const Step& first = step_in(order_, job * per_job_);
    const double release = order.releases[static_cast<std::size_t>(job)];
    sum_ += release + first.rest;
    most_ = std::max(most_, release + first.tail);
  }
  for (int job = 0; job < jobs; ++job) {
    arrive(job * per_job_, order.releases[static_cast<std::size_t>(job)]);
  }
  while (!asks_.empty() || !ways_.empty()) {
    if (most_ + weight * sum_ > limit) break;
    const auto [done, index] = next_done();
    if (asks_.empty() || done <= asks_.front().first) {
      move_on(done);
      const Way way = ways_[index];
      ways_[index] = ways_.back();
      ways_.pop_back();
      --out_ways_[way.from];
      --in_ways_[way.to];
      arrive(way.operation + 1, done);
      continue;
    }
    std::pop_heap(asks_.begin(), asks_.end(), std::greater<>());
    const Ask ask = asks_.back();
    asks_.pop_back();
    send(ask);
  }
  return most_ + weight * sum_;
}

/// What `operation` waits for from its job is there at `time`, which may lie ahead.
void Traffic::arrive(int operation, double time) {
  arrived_[operation] = time;
  start_waiting(step_in(order_, operation).node);
}

/// Starts on a node what can start, as far as its order goes.
void Traffic::start_waiting(int node) {
  for (;;) {
    const int operation = head_[node];
    if (operation < 0 || arrived_[operation] == kNotYet) return;
    const Step& step = step_in(order_, operation);
    head_[node] = next_on_node_[operation];
    double start = free_[node];
    if (!order_.wait_behind.empty()) {
      start += order_.wait_behind[static_cast<std::size_t>(operation)];
    }
    start = std::max(start, arrived_[operation]);
    start_[operation] = start;
    free_[node] = start + step.duration + step.gap;
    const int index = operation % per_job_;
    double ready = order_.releases[static_cast<std::size_t>(operation / per_job_)];
    if (index > 0) {
      const Step& before = step_in(order_, operation - 1);
      ready = start_[operation - 1] + before.duration + before.lag;
    }
    if (start > ready) {
      sum_ += start - ready;
      most_ = std::max(most_, start + step.tail);
    }
    if (index + 1 < per_job_) end(operation, start + step.duration);
  }
}

/// An operation that is not its job's last ends at `time`.
void Traffic::end(int operation, double time) {
  const Step& step = step_in(order_, operation);
  const int to = step_in(order_, operation + 1).node;
  if (to == step.node || step.lag == 0) {
    // Not a transfer. The node itself is being served, and looks at its next operation anyhow.
    arrived_[operation + 1] = time + step.lag;
    if (to != step.node) start_waiting(to);
    return;
  }
  asks_.emplace_back(time, operation);
  std::push_heap(asks_.begin(), asks_.end(), std::greater<>());
}

void Traffic::send(const Ask& ask) {
  const auto [time, operation] = ask;
  const Step& step = step_in(order_, operation);
  const int to = step_in(order_, operation + 1).node;
  if (contention_ == Contention::kFair) {
    move_on(time);
    ways_.push_back({operation, step.node, to, step.lag});
    ++out_ways_[step.node];
    ++in_ways_[to];
    return;
  }
  double begin = time;
  if (contention_ == Contention::kSerial) {
    begin = std::max({time, out_free_[step.node], in_free_[to]});
    out_free_[step.node] = in_free_[to] = begin + step.lag;
  }
  arrive(operation + 1, begin + step.lag);
}

double Traffic::rate(const Way& way) const {
  return 1.0 / std::max(out_ways_[way.from], in_ways_[way.to]);
}

/// When the next of the transfers under way is through if none joins them, and which.
std::pair<double, int> Traffic::next_done() const {
  std::pair<double, int> out{kNever, -1};
  for (int i = 0; i < ways_.count(); ++i) {
    const double done = now_ + std::max(0.0, ways_[i].left) / rate(ways_[i]);
    if (done < out.first) out = {done, i};
  }
  return out;
}

void Traffic::move_on(double time) {
  for (auto& way : ways_) way.left -= (time - now_) * rate(way);
  now_ = time;
}

}  // namespace rw::planner
