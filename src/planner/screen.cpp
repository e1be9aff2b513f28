// Part of Ropewalk, MIT licence.
// The part of Schedule that rejects a change by what it touches, without running the list.
#include <algorithm>
#include <bit>
#include <cstddef>

#include "planner/schedule.h"

namespace rw::planner {

namespace {
constexpr int kWord = 64;
}  // namespace

void Schedule::set_up_turns() {
  const std::size_t ops = steps_.size() - problem_->nodes.size();
  for (std::size_t i = 0; i < ops; ++i) {
    job_of_.push_back(static_cast<std::uint16_t>(i / static_cast<std::size_t>(per_job_)));
  }
  turns_.resize(ops + problem_->nodes.size());
  kept_turns_ = turns_;
  moved_.resize(turns_.size());
  tails_.resize(ops + 2);
  due_.assign(ops / kWord + 1, 0);
  touched_.resize(5 * ops + 1);
}

/// An operation takes another turn: at `time`, at that time behind what stands in front of position `rank`.
void Schedule::take_turn(int operation, double time, int rank) {
  Moved& moved = moved_[operation];
  if (!moved.is) moved_operations_.push_back(operation);
  moved = {time, rank, true};
}

/// All turns as they are kept.
void Schedule::restore_turns() {
  for (const int operation : moved_operations_) {
    moved_[operation].is = false;
    turns_[operation] = kept_turns_[operation];
  }
  for (int i = 0; i < touched_count_; ++i) turns_[touched_[i]] = kept_turns_[touched_[i]];
  moved_operations_.clear();
  touched_count_ = 0;
}

/// A turn of which something changes.
inline Schedule::Turn& Schedule::touch(int operation) {
  touched_[touched_count_++] = operation;
  return turns_[operation];
}

/// An operation is due when `so`; what moved is due anyhow. The one behind the last stands for none.
inline void Schedule::due(int operation, bool so) {
  const int position = position_[operation];
  so = so & !moved_[operation].is;
  due_[position / kWord] |= std::uint64_t{so} << (position % kWord);
}

/// Takes what moved out of the queues of the nodes.
void Schedule::take_out() {
  for (const int operation : moved_operations_) {
    const int before = turns_[operation].before, after = turns_[operation].after;
    touch(before).after = after;
    if (after < 0) continue;
    due(after, true);
    touch(after).before = before;
  }
}

/// Puts an operation that moved into its queue; all that runs in front of it is there.
inline void Schedule::put_in(int operation) {
  const Turn* const kept = kept_turns_.data();
  const Moved* const moved = moved_.data();
  const int node = steps_[operation].node, count = operations();
  int before = kept[operation].before;
  if (kept_steps_[operation].node != node) {
    const int checkpoint = position_[operation] / kStride;
    const int last = checkpoint == 0 ? -1 : saved_node_[checkpoint * node_.count() + node].last;
    before = last < 0 ? count + node : placed_[last].operation;
  }
  const double time = moved[operation].time;
  const int rank = moved[operation].rank;
  const auto in_front = [&](int other) {
    const double start = kept[other].start;
    if (start == time) return position_[other] < rank;
    return start < time;
  };
  // An entry of operations() + node stands in front of all. What moved and would come later is not in yet.
  while (before < count && (moved[before].is || !in_front(before))) before = kept[before].before;
  int after = turns_[before].after;
  while (after >= 0 && (moved[after].is || in_front(after))) {
    before = after;
    after = turns_[before].after;
  }
  turns_[operation].before = before;
  turns_[operation].after = after;
  touch(before).after = operation;
  if (after < 0) return;
  touch(after).before = operation;
  due(after, true);
}

/// What the changes of paths move; the jobs through which no path of the kept schedule may be followed.
std::uint64_t Schedule::move_paths() {
  for (const int job : dirty_jobs_) {
    const int begin = job * per_job_;
    for (int at = begin; at < begin + per_job_; ++at) {
      const bool elsewhere = steps_[at].node != kept_steps_[at].node;
      if (elsewhere && !moved_[at].is) {
        take_turn(at, kept_turns_[at].start, position_[at]);
      }
      if (at > begin && !elsewhere && steps_[at - 1].lag != kept_steps_[at - 1].lag) due(at, true);
    }
  }
  std::uint64_t jobs = 0;
  for (const int operation : moved_operations_) jobs |= bit_of(job_of_[operation]);
  const auto first = [this](int a, int b) {
    const Moved& one = moved_[a];
    const Moved& other = moved_[b];
    if (one.time != other.time) return one.time < other.time;
    return one.rank != other.rank ? one.rank < other.rank : a < b;
  };
  // A few sorted runs.
  auto& all = moved_operations_;
  for (int i = 1; i < all.count(); ++i) {
    const int operation = all[i];
    int to = i;
    for (; to > 0 && first(operation, all[to - 1]); --to) all[to] = all[to - 1];
    all[to] = operation;
  }
  return jobs;
}

bool Schedule::hopeless(double limit) {
  const bool iteration = problem_->objective == Objective::kIteration;
  if (dirty_jobs_.empty() || order_low_ <= order_high_ || split()) return false;
  if (iteration && !swapped_nodes_.empty()) return false;  // other tails
  if (!follow_in_time()) return false;
  limit -= owed();
  if (late_alone(limit)) return true;
  const std::uint64_t jobs = move_paths();
  take_out();
  const bool out = spread(limit, jobs);
  std::fill(due_.begin(), due_.end(), std::uint64_t{0});
  return out;
}

/// Whether a job on a new path is too late even if nothing is in its way.
bool Schedule::late_alone(double limit) const {
  const double weight = mean_weight_ / static_cast<double>(jobs_.size());
  for (const int job : dirty_jobs_) {
    const int begin = job * per_job_;
    int at = begin;
    while (at + 1 < begin + per_job_ && steps_[at + 1].node == kept_steps_[at + 1].node) ++at;
    if (kept_turns_[at].start + steps_[at].tail + weight * sum_of_ends_ > limit) return true;
  }
  return false;
}

/// The next operation that is due, in the order of the changed list; -1: there is none.
inline int Schedule::next_due(int& word, int& moved) {
  while (word < due_.count() && due_[word] == 0) ++word;
  int position = -1;
  if (word < due_.count()) position = word * kWord + std::countr_zero(due_[word]);
  if (moved < moved_operations_.count()) {
    const int operation = moved_operations_[moved];
    const Moved& place = moved_[operation];
    if (position < 0 || place.time < placed_[position].start ||
        (place.time == placed_[position].start && place.rank < position)) {
      ++moved;
      put_in(operation);
      return operation;
    }
  }
  if (position < 0) return -1;
  due_[word] &= due_[word] - 1;
  return placed_[position].operation;
}

/// Starts anew what is due, until one is too late. No job is taken to end earlier by more than any operation
/// so far starts earlier.
bool Schedule::spread(double limit, std::uint64_t jobs) {
  const double weight = mean_weight_ / static_cast<double>(jobs_.size());
  const int count = operations(), per_job = per_job_;
  const Step* const steps = steps_.data();
  Turn* const turns = turns_.data();
  int word = 0, moved = 0;
  double earlier = 0;
  bool same = true;
  for (;;) {
    const int operation = next_due(word, moved);
    if (operation < 0) break;
    const int job = job_of_[operation];
    double ready = 0;
    if (operation != job * per_job) {
      const Step& before = steps[operation - 1];
      ready = turns[operation - 1].start + before.duration + before.lag;
    } else if (track_ == Track::kStrict) {
      ready = release(job);
    }
    const int last = turns[operation].before, after = turns[operation].after;
    const double start =
        std::max(ready, turns[last].start + steps[last].duration + steps[last].gap);
    const double was = kept_turns_[operation].start;
    earlier = std::max(earlier, was - start);
    const Tail& tail = tails_[operation];
    const double end = start + ((tail.jobs & jobs) == 0 ? tail.length : steps[operation].tail);
    if (end + weight * sum_of_ends_ - mean_weight_ * earlier > limit) return true;
    const bool changed = start != was;
    same = same & !changed;
    const bool passed_on = changed | moved_[operation].is;
    touch(operation).start = start;
    due(operation + 1, passed_on & (operation + 1 != (job + 1) * per_job));
    due(after < 0 ? count : after, passed_on & (after >= 0));
  }
  if (same) return false;
  if (problem_->objective == Objective::kIteration) return false;
  double sum = 0, most = 0;
  for (int last = per_job_ - 1; last < operations(); last += per_job_) {
    const double end = turns_[last].start + steps_[last].duration;
    sum += end;
    most = std::max(most, end);
  }
  return (most + weight * sum) * (1 - 1e-12) > limit;
}

}  // namespace rw::planner
