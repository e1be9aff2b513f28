// Part of Ropewalk, MIT licence.
// The part of Schedule that gives jobs on new paths their turns.
#include <algorithm>

#include "planner/schedule.h"

namespace rw::planner {

/// Lists what follows the first operation of a job that its new path gives to another node, with the starts
/// it would have there.
void Schedule::lift(int job, bool waits) {
  const int begin = job * per_job_;
  const int end = begin + per_job_;
  int at = begin;
  while (at < end && steps_[at].node == kept_steps_[at].node) ++at;
  if (at == end) return;
  lifted_from_[job] = at;
  double ready = release(job);
  double was = ready;  // when the kept schedule had it ready
  if (at > begin) {
    const double before = placed_[position_[at - 1]].start + kept_steps_[at - 1].duration;
    ready = before + steps_[at - 1].lag;
    was = before + kept_steps_[at - 1].lag;
  }
  for (; at < end; ++at) {
    const double start = placed_[position_[at]].start;
    if (waits) ready += start - was;
    was = start + kept_steps_[at].duration + kept_steps_[at].lag;
    lifted_.emplace_back(ready, job);
    take_turn(at, ready, operations() + job);
    ready += steps_[at].duration + steps_[at].lag;
  }
}

void Schedule::reinsert(bool waits) {
  for (const int job : dirty_jobs_) lift(job, waits);
}

/// Gives what was lifted its places in the list.
void Schedule::place_lifted() {
  int low = operations(), high = -1;
  for (const int job : dirty_jobs_) {
    if (lifted_from_[job] == operations()) continue;
    low = std::min(low, position_[lifted_from_[job]]);
    high = std::max(high, position_[(job + 1) * per_job_ - 1]);
  }
  std::sort(lifted_.begin(), lifted_.end());
  while (low > 0 && placed_[low - 1].start > lifted_.front().first) --low;
  while (high + 1 < operations() && placed_[high + 1].start <= lifted_.back().first) ++high;
  touch_order(low, high);
  // What stays and what was lifted, merged by their starts.
  int to = low;
  auto next = lifted_.begin();
  for (int i = low; i <= high; ++i) {
    if (placed_[i].operation >= lifted_from_[kept_order_[i]]) continue;
    for (; next != lifted_.end() && next->first < placed_[i].start; ++next) {
      order_[to++] = static_cast<std::uint16_t>(next->second);
    }
    order_[to++] = kept_order_[i];
  }
  for (; next != lifted_.end(); ++next) order_[to++] = static_cast<std::uint16_t>(next->second);
  for (const int job : dirty_jobs_) lifted_from_[job] = operations();
  lifted_.clear();
}

}  // namespace rw::planner
