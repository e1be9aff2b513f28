// Part of Ropewalk, MIT licence.
// The part of Schedule that knows what follows a position of the kept schedule without running it.
#include <algorithm>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

/// Reads the kept list once from its end: the longest path behind every checkpoint, over jobs and nodes.
void Schedule::follow() {
  const auto jobs_count = static_cast<std::ptrdiff_t>(jobs_.size());
  const auto nodes = static_cast<std::ptrdiff_t>(node_.size());
  const bool iteration = problem_->objective == Objective::kIteration;
  // Worked on in the place of the checkpoint in front of the position, and copied on.
  const int last = (operations() - 1) / kStride;
  double* job_tail = job_tails_.data() + last * jobs_count;
  double* node_tail = node_tails_.data() + last * nodes;
  std::fill_n(job_tail, jobs_count, 0.0);
  std::fill_n(node_tail, nodes, -kNever);
  for (int i = operations() - 1; i >= 0; --i) {
    const int operation = placed_[i].operation;
    const Step& step = kept_steps_[operation];
    double& of_job = job_tail[operation / per_job_];
    double& of_node = node_tail[step.node];
    double behind = std::max(step.lag + of_job, step.gap + of_node);
    if (iteration && step.memory < 0) behind = std::max(behind, reduction_behind(step.node));
    of_job = of_node = step.duration + behind;
    if (i % kStride == 0 && i > 0) {
      std::copy_n(job_tail, jobs_count, job_tail - jobs_count);
      std::copy_n(node_tail, nodes, node_tail - nodes);
      job_tail -= jobs_count;
      node_tail -= nodes;
    }
  }
  followed_ = true;
}

/// When the last of what follows a checkpoint ends, exactly, if order, paths and memory from there on are
/// those of the kept schedule.
double Schedule::followed(int checkpoint) const {
  const double* job_tail = job_tails_.data() + std::ptrdiff_t{checkpoint} * jobs();
  const double* node_tail = node_tails_.data() + std::ptrdiff_t{checkpoint} * node_.count();
  double one = 0, other = 0;  // two chains of maxima wait half as long
  for (int i = 0; i < jobs(); ++i) one = std::max(one, job_[i].ready + job_tail[i]);
  for (int i = 0; i < node_.count(); ++i) other = std::max(other, node_[i].free + node_tail[i]);
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
