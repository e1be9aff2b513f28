// Part of Ropewalk, MIT licence.
#include "planner/schedule.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace rw::planner {

List<Job> jobs_of(const Problem& problem, Track track) {
  const int each = problem.micro_batches_per_source;
  List<Job> jobs;
  for (int source = 0; source < problem.sources(); ++source) {
    if (track == Track::kFree) {
      for (int i = 0; i < each; ++i) jobs.push_back({source, 1, 0});
      continue;
    }
    const int slots = strict_slots(problem);
    for (int slot = 0; slot < slots; ++slot) jobs.push_back({source, each / slots, slot});
  }
  return jobs;
}

Schedule::Schedule(const Problem& problem, Track track, const Draft& draft, double mean_weight,
                   const Coverage* coverage)
    : problem_(&problem),
      track_(track),
      mean_weight_(mean_weight),
      length_(problem.path_length),
      jobs_(jobs_of(problem, track)),
      arrangement_(draft.arrangement),
      coverage_(coverage),
      order_(draft.order),
      urgent_(draft.urgent) {
  per_job_ = jobs_.front().waves * problem.operations_per_path();
  const std::size_t jobs_count = jobs_.size();
  const std::size_t ops = jobs_count * static_cast<std::size_t>(per_job_);
  for (const auto& group : arrangement_.members()) {
    reductions_.push_back(reduction_s(problem.reduction, group));
  }
  visits_ = filled(problem.stages(), 0);
  routed_ = filled(problem.size(), 0);
  if (coverage != nullptr) covered_ = coverage->former;
  steps_.resize(ops + problem.nodes.size());  // then what stands in front of each node's first
  if (split()) {
    for (const auto& node : problem.nodes) {
      weight_s_.push_back(*problem.weight_factor * node.forward_s);
    }
  }
  for (const auto& nodes : draft.paths) {
    tried_path_.insert(tried_path_.end(), nodes.begin(), nodes.end());
  }
  kept_path_ = tried_path_;
  for (int job = 0; job < jobs(); ++job) {
    count_path(job, 1);
    price(job);
  }
  dirty_.assign(jobs_count, 0);
  lifted_from_.assign(jobs_count, static_cast<int>(ops));
  set_up_turns();
  job_.resize(jobs_count);
  node_.resize(problem.nodes.size());
  for (std::size_t i = 0; i < node_.size(); ++i) {
    // No node ever holds more than there are.
    node_[i].memory =
        static_cast<std::int16_t>(std::min(problem.nodes[i].memory, problem.micro_batches()));
  }
  queues_.resize(node_.size());
  after_.assign(jobs_count, -1);
  placed_.resize(ops);
  held_.resize(ops);
  recorded_.resize(ops);
  position_.resize(ops + 1);
  const std::size_t checkpoints = ops / kStride + 1;
  saved_job_.resize(checkpoints * jobs_count);
  saved_node_.resize(checkpoints * node_.size());
  saved_.resize(checkpoints);
  if (order_.empty()) order_ = order_by_lonely_times();
  kept_order_ = order_;
  kept_steps_ = steps_;
  set_up_extensions();
  forget_changes();
  first_changed_ = 0;
  if (evaluate(kNever) == kNever) {
    // They wait for each other: one after the other always works.
    for (int i = 0; i < operations(); ++i) order_[i] = static_cast<std::uint16_t>(i / per_job_);
    evaluate(kNever);
  }
  keep();
}

double Schedule::max_reduction() const {
  return *std::max_element(reductions_.begin(), reductions_.end());
}

double Schedule::over_cap() const {
  if (problem_->objective == Objective::kIteration) return 0;
  return std::max(0.0, max_reduction() - problem_->reduction.max_s - kTolerance);
}

void Schedule::count_path(int job, int sign) {
  const int* nodes = path(job);
  for (int k = 0; k < length_; ++k) {
    routed_[nodes[k]] += sign;
    visits_[arrangement_.stage_of(nodes[k])] += sign * jobs_[job].waves;
  }
  if (coverage_ == nullptr) return;
  for (int k = 1; k < length_; ++k) {
    const int stage = arrangement_.stage_of(nodes[k]);
    covered_[jobs_[job].source * problem_->stages() + stage] += sign * jobs_[job].waves;
  }
}

/// What the coverage adds to the cost.
double Schedule::owed() const {
  if (coverage_ == nullptr) return 0;
  double out = 0;
  const int stages = problem_->stages();
  for (int source = 0; source < problem_->sources(); ++source) {
    int visited = 0, excess = 0;
    for (int stage = 1; stage < stages; ++stage) {
      const int count = covered_[source * stages + stage];
      visited += count > 0 ? 1 : 0;
      excess += std::max(0, count - coverage_->even);
    }
    out += std::max(0, coverage_->wanted - visited) * coverage_->missing_s;
    out += excess * coverage_->excess_s;
  }
  return out;
}

void Schedule::price(int job) {
  const Problem& p = *problem_;
  const int* nodes = path(job);
  const int each = p.operations_per_path();
  Step* steps = steps_.data() + std::ptrdiff_t{job} * per_job_;
  for (int k = 0; k < each; ++k) {
    const bool loss = k == length_;
    const int node = k < length_ ? nodes[k] : loss ? p.loss_node(nodes) : nodes[2 * length_ - k];
    const double factor = k < length_ ? 1.0 : loss ? p.loss_factor : p.backward_factor;
    steps[k].duration = factor * p.nodes[node].forward_s;
    steps[k].gap = k == 0 ? p.gap_first_forward_s : p.gap_s;
    steps[k].node = node;
    steps[k].memory = k < length_ ? 1 : loss ? 0 : -1;
    steps[k].lag = 0;
    if (k > 0) steps[k - 1].lag = p.transfer_s.at(steps[k - 1].node, node);
  }
  for (int k = each; k < per_job_; ++k) steps[k] = steps[k - each];
  const bool makespan = p.objective == Objective::kMakespan;
  double rest = 0, tail = 0;
  for (int k = per_job_ - 1; k >= 0; --k) {
    Step& step = steps[k];
    double after =
        0;  // what follows a B beside its job: the group's reduction, split: behind its W
    if (step.memory < 0) {
      after = makespan ? 0 : reductions_[arrangement_.stage_of(step.node)];
      if (split()) after += p.gap_s + weight_s_[step.node];
    }
    rest += step.duration + step.lag;
    tail = std::max(tail + step.lag, after) + step.duration;
    step.rest = rest;
    step.tail = tail;
  }
}

void Schedule::touch_job(int job, int first, int last) {
  first_changed_ = std::min(first_changed_, first);
  last_changed_ = std::max(last_changed_, last);
  if (dirty_[job] != 0) return;
  dirty_[job] = 1;
  dirty_jobs_.push_back(job);
}

void Schedule::touch_order(int first, int last) {
  first_changed_ = std::min(first_changed_, first);
  last_changed_ = std::max(last_changed_, last);
  order_low_ = std::min(order_low_, first);
  order_high_ = std::max(order_high_, last);
}

void Schedule::set_node(int job, int index, int node) {
  count_path(job, -1);
  tried_path_[std::ptrdiff_t{job} * length_ + index] = node;
  count_path(job, 1);
  price(job);
  // The operation before pays the way; the B of the last wave comes last.
  const int first = job * per_job_ + std::max(0, index - 1);
  touch_job(job, position_[first], position_[(job + 1) * per_job_ - 1 - index]);
}

void Schedule::swap_groups(int a, int b) {
  const auto count = [&](int sign) {
    if (coverage_ != nullptr) {
      for (int job = 0; job < jobs(); ++job) count_path(job, sign);
      return;
    }
    for (const int node : {a, b}) {
      visits_[arrangement_.stage_of(node)] += sign * routed_[node] * waves();
    }
  };
  count(-1);
  arrangement_.swap(a, b);
  count(1);
  for (const int node : {a, b}) {
    const int stage = arrangement_.stage_of(node);
    reductions_[stage] = reduction_s(problem_->reduction, arrangement_.group(stage));
  }
}

void Schedule::swap_labels(int a, int b) {
  swapped_nodes_.emplace_back(a, b);
  swap_groups(a, b);
  if (problem_->objective == Objective::kMakespan) return;
  // All tails hold reductions.
  for (int job = 0; job < jobs(); ++job) {
    price(job);
    touch_job(job, 0, operations());
  }
}

void Schedule::swap_roles(int a, int b) {
  for (int job = 0; job < jobs(); ++job) {
    int* nodes = tried_path_.data() + std::ptrdiff_t{job} * length_;
    int first = length_;
    for (int k = length_ - 1; k >= 0; --k) {
      if (nodes[k] != a && nodes[k] != b) continue;
      count_path(job, -1);
      nodes[k] = nodes[k] == a ? b : a;
      count_path(job, 1);
      first = k;
    }
    if (first == length_) continue;
    touch_job(job, position_[job * per_job_ + std::max(0, first - 1)],
              position_[(job + 1) * per_job_ - 1 - first]);
    price(job);
  }
  swap_labels(a, b);
}

void Schedule::pull(int first, int last) {
  if (!lifted_.empty()) place_lifted();
  const std::uint16_t job = order_[last];
  touch_order(first, last);
  int to = last;
  for (int i = last; i >= first; --i) {
    if (order_[i] != job) order_[to--] = order_[i];
  }
  for (; to >= first; --to) order_[to] = job;
}

void Schedule::push(int first, int last) {
  if (!lifted_.empty()) place_lifted();
  const std::uint16_t job = order_[first];
  touch_order(first, last);
  int to = first;
  for (int i = first; i <= last; ++i) {
    if (order_[i] != job) order_[to++] = order_[i];
  }
  for (; to <= last; ++to) order_[to] = job;
}

void Schedule::swap_entries(int first, int last) {
  if (!lifted_.empty()) place_lifted();
  touch_order(std::min(first, last), std::max(first, last));
  std::swap(order_[first], order_[last]);
}

void Schedule::revert() {
  while (!swapped_nodes_.empty()) {
    const auto [a, b] = swapped_nodes_.back();
    swapped_nodes_.pop_back();
    swap_groups(a, b);
  }
  for (const int job : dirty_jobs_) {
    count_path(job, -1);
    const auto from = std::ptrdiff_t{job} * length_;
    std::copy_n(kept_path_.begin() + from, length_, tried_path_.begin() + from);
    count_path(job, 1);
    const auto op = std::ptrdiff_t{job} * per_job_;
    std::copy_n(kept_steps_.begin() + op, per_job_, steps_.begin() + op);
    dirty_[job] = 0;
    lifted_from_[job] = operations();
  }
  dirty_jobs_.clear();
  if (order_low_ <= order_high_) {
    std::copy(kept_order_.begin() + order_low_, kept_order_.begin() + order_high_ + 1,
              order_.begin() + order_low_);
  }
  for (const int operation : dirty_urgent_) urgent_[operation] = kept_urgent_[operation];
  forget_changes();
}

void Schedule::forget_changes() {
  restore_turns();
  lifted_.clear();
  first_changed_ = operations();
  last_changed_ = -1;
  order_low_ = operations();
  order_high_ = -1;
  dirty_urgent_.clear();
}

void Schedule::set_up_extensions() {
  const int count = operations();
  if (split()) {
    if (urgent_.empty()) urgent_ = filled(count, std::uint8_t{0});
    kept_urgent_ = urgent_;
    weights_ = tried_weights_ = filled(count, 0);
  }
  if (problem_->contention == Contention::kNone) return;
  traffic_.emplace(*problem_, count, per_job_);
  actual_ = filled(count, 0.0);
  sequence_ = filled(count, 0);
  if (split()) wait_behind_ = actual_;
  for (int job = 0; job < jobs(); ++job) releases_.push_back(release(job));
}

void Schedule::set_urgent(int operation, int weights) {
  urgent_[operation] = static_cast<std::uint8_t>(std::clamp(weights, 0, 255));
  dirty_urgent_.push_back(operation);
  first_changed_ = std::min(first_changed_, position_[operation]);
  last_changed_ = operations();
}

List<std::uint16_t> Schedule::order_by_lonely_times() const {
  List<std::pair<double, std::uint16_t>> starts;
  auto nth = filled(problem_->sources(), 0);
  for (int job = 0; job < jobs(); ++job) {
    // The next of a source goes when its node is free again, or when memory is.
    const int rank = nth[jobs_[job].source]++;
    const Node& source = problem_->nodes[path(job)[0]];
    const Step* steps = steps_.data() + std::ptrdiff_t{job} * per_job_;
    const int wave = rank / source.memory;
    double at = wave * steps->rest + (rank % source.memory) * source.forward_s;
    for (int k = 0; k < per_job_; ++k) {
      starts.emplace_back(at, static_cast<std::uint16_t>(job));
      at += steps[k].duration + steps[k].lag;
    }
  }
  std::stable_sort(starts.begin(), starts.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  List<std::uint16_t> order;
  for (const auto& [start, job] : starts) order.push_back(job);
  return order;
}

bool Schedule::bound_by_node(int position) const {
  const Placed& here = placed_[position];
  const int index = here.operation % per_job_;
  if (here.before_on_node < 0) return false;
  double ready = release(here.operation / per_job_);
  if (index > 0) {
    const Step& before = kept_steps_[here.operation - 1];
    ready = start_at(position_[here.operation - 1]) + before.duration + before.lag;
  }
  if (!traffic_) return here.start > ready;
  // Its transfer may have waited for others.
  const Placed& other = placed_[here.before_on_node];
  const Step& before = kept_steps_[other.operation];
  double free = start_at(here.before_on_node) + before.duration + before.gap;
  if (split()) free += weights_[here.operation] * (weight_s_[before.node] + problem_->gap_s);
  return start_at(position) > ready && start_at(position) <= free;
}

bool Schedule::reorders(int at, int to) const {
  const int operation = placed_[at].operation;
  const int index = operation % per_job_;
  if (to < at) {
    if (placed_[at].before_on_node >= to) return true;
    return index > 0 && position_[operation - 1] >= to;
  }
  const int after = kept_turns_[operation].after;
  if (after >= 0 && position_[after] <= to) return true;
  return index + 1 < per_job_ && position_[operation + 1] <= to;
}

double Schedule::release(int job) const {
  return jobs_[job].slot == 0 ? 0 : jobs_[job].slot * problem_->nodes[path(job)[0]].forward_s;
}

Draft Schedule::draft() const {
  Draft out;
  draft_into(out);
  return out;
}

void Schedule::draft_into(Draft& out) const {
  out.arrangement = arrangement_;
  out.paths.resize(jobs_.size());
  for (int job = 0; job < jobs(); ++job) {
    const auto from = kept_path_.begin() + std::ptrdiff_t{job} * length_;
    out.paths[job].assign(from, from + length_);
  }
  out.order = kept_order_;
  out.urgent = kept_urgent_;
}

void Schedule::restart(const Draft& draft) {
  *this = Schedule(*problem_, track_, draft, mean_weight_, coverage_);
}

List<double> Schedule::starts(int job) const {
  List<double> out;
  for (int k = 0; k < per_job_; ++k) out.push_back(start_at(position_[job * per_job_ + k]));
  return out;
}

}  // namespace rw::planner
