// Part of Ropewalk, MIT licence.
// The part of Schedule that knows what follows a position of the kept schedule without running it.
#include <algorithm>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

/// Follows the kept schedule when it was asked for often enough; whether it is followed.
bool Schedule::follow_in_time() {
  constexpr int kPatience = 2;  // a schedule that soon changes again is not worth it
  if (!followed_ && ++asked_ > kPatience) follow();
  return followed_;
}

/// Reads the kept list once from its end: the longest path behind every operation, over jobs and nodes.
void Schedule::follow() {
  const bool iteration = problem_->objective == Objective::kIteration;
  const int no_job = operations(), no_node = no_job + 1;
  Tail* const tails = tails_.data();
  const Step* const steps = kept_steps_.data();
  const Turn* const turns = kept_turns_.data();
  tails[no_job] = {0, 0};
  tails[no_node] = {-kNever, 0};
  sum_of_ends_ = 0;
  for (int i = operations() - 1; i >= 0; --i) {
    const int operation = placed_[i].operation;
    const Step& step = steps[operation];
    const int job = job_of_[operation];
    const bool ends = operation + 1 == (job + 1) * per_job_;
    const int after = turns[operation].after;
    const Tail& of_job = tails[ends ? no_job : operation + 1];
    const Tail& of_node = tails[after < 0 ? no_node : after];
    // No branch on what nobody can foresee: masks instead.
    const double by_job = step.lag + of_job.length, by_node = step.gap + of_node.length;
    const std::uint64_t longer = std::uint64_t{0} - std::uint64_t{by_node > by_job};
    double behind = std::max(by_job, by_node);
    if (iteration && step.memory < 0) behind = std::max(behind, reduction_behind(step.node));
    tails[operation] = {step.duration + behind,
                        (of_node.jobs & longer) | (of_job.jobs & ~longer) | bit_of(job)};
    if (ends) sum_of_ends_ += placed_[i].start + step.duration;
  }
  followed_ = true;
}

/// When the last of what follows a checkpoint ends, exactly, if order, paths and memory from there on are
/// those of the kept schedule.
double Schedule::followed(int checkpoint) const {
  const NodeState* saved = saved_node_.data() + std::ptrdiff_t{checkpoint} * node_.count();
  double one = 0, other = 0;  // two chains of maxima wait half as long
  for (int i = 0; i < jobs(); ++i) {
    const int next = job_[i].next;
    one = std::max(one, job_[i].ready + (next == (i + 1) * per_job_ ? 0 : tails_[next].length));
  }
  for (int i = 0; i < node_.count(); ++i) {
    const int last = saved[i].last;
    const int after = kept_turns_[last < 0 ? operations() + i : placed_[last].operation].after;
    if (after >= 0) other = std::max(other, node_[i].free + tails_[after].length);
  }
  return std::max(one, other);
}

/// Whether nothing is later or earlier than in the kept schedule.
bool Schedule::as_kept(int checkpoint) const {
  const JobState* job = saved_job_.data() + std::ptrdiff_t{checkpoint} * jobs();
  const NodeState* node = saved_node_.data() + std::ptrdiff_t{checkpoint} * node_.count();
  const auto same_ready = [](const JobState& a, const JobState& b) { return a.ready == b.ready; };
  const auto same_free = [](const NodeState& a, const NodeState& b) { return a.free == b.free; };
  return std::equal(job_.begin(), job_.end(), job, same_ready) &&
         std::equal(node_.begin(), node_.end(), node, same_free);
}

}  // namespace rw::planner
