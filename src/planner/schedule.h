// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "planner/arrangement.h"
#include "planner/list.h"
#include "planner/problem.h"
#include "planner/step.h"
#include "planner/traffic.h"

namespace rw::planner {

/// A chain of operations that only itself can hold up: one micro-batch (free track), or the waves of
/// a slot, one after the other on one path (strict track).
struct Job {
  int source = 0;  // position in group 0
  int waves = 1;
  int slot = 0;  // strict: its first operation starts no sooner than slot · forward of the source
};

/// The jobs of a track, source by source; every job has as many waves as the others.
List<Job> jobs_of(const Problem& problem, Track track);

/// An operation where it stands in the kept schedule.
struct Placed {
  double start = 0;
  int operation = 0;        // job · operations_per_job + index
  int before_on_node = -1;  // position; -1: none
};

/// Paths and order as they are handed from one schedule to another.
struct Draft {
  Arrangement arrangement;
  List<List<int>> paths;           // per job
  List<std::uint16_t> order;       // empty: by the times that operations would have alone
  List<std::uint8_t> urgent = {};  // per operation (split); empty: none
};

/// What a rotation still owes its sources (docs/planner.md): stages that no earlier plan of the rotation
/// let them visit, and turns that are not shared out evenly. Its weights are seconds of cost.
struct Coverage {
  List<int> former;  // visits [source][stage] by the earlier plans
  int wanted = 0;    // stages that each source shall have visited
  int even = 0;      // visits of a stage by a source that are no more than its share
  double missing_s = 0, excess_s = 0;
};

/// Placement, paths and order, in event time. The order is a list of jobs, each as often as it has
/// operations: the k-th entry of a job is its k-th operation. Operations go to the end of their
/// node's queue in the order of the list and start as soon as node and job are free (semi-active):
/// every such schedule has a list, also one that holds back a forward that could run. A forward
/// that finds no memory waits aside, with what follows in its job, until a backward frees some.
///
/// Split backward: the W's of a node are alike, so that only their number between two operations
/// matters. In front of an operation run as many as are urgent there, as memory wants, and as end
/// before the operation could start anyhow; what is left runs behind the node's last operation.
///
/// Contention: the list decides the order on every node as if there were none; with that order the
/// times are those of Traffic, and they alone are priced.
///
/// One schedule is kept; changes make a second one, which `evaluate` prices, and which `keep` or
/// `revert` ends. Lists of the kept schedule are sorted by start.
class Schedule {
 public:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  /// What is minimised: the objective, plus `mean_weight` times the mean end of the jobs, plus what
  /// `coverage` says, which stays the caller's.
  Schedule(const Problem& problem, Track track, const Draft& draft, double mean_weight,
           const Coverage* coverage = nullptr);

  const Problem& problem() const { return *problem_; }
  Track track() const { return track_; }
  const Arrangement& arrangement() const { return arrangement_; }
  int jobs() const { return static_cast<int>(jobs_.size()); }
  int operations() const { return static_cast<int>(order_.size()); }
  int operations_per_job() const { return per_job_; }
  int source_of(int job) const { return jobs_[job].source; }
  int waves() const { return jobs_.front().waves; }
  /// L nodes of the changed schedule.
  const int* path(int job) const { return tried_path_.data() + std::ptrdiff_t{job} * length_; }
  int visits(int stage) const { return visits_[stage]; }
  /// Jobs through a node.
  int routed(int node) const { return routed_[node]; }
  double reduction(int stage) const { return reductions_[stage]; }
  double max_reduction() const;
  /// How much the largest reduction is above the problem's cap; 0 where there is none.
  double over_cap() const;

  // Changes. Paths must be allowed; nothing is checked.
  void set_node(int job, int index, int node);
  /// Exchanges two nodes in the arrangement, and, for roles, in every path.
  void swap_labels(int a, int b);
  void swap_roles(int a, int b);
  /// Moves the entries of one job in [first, last] before `first`, or behind `last`.
  void pull(int first, int last);
  void push(int first, int last);
  void swap_entries(int first, int last);
  /// Gives the jobs whose paths changed the turns that they would have on the new ones, from the first
  /// operation on another node on: each operation waits as long as in the kept schedule when `waits`, else not
  /// at all. For changes that have not touched the order. Takes time with the positions between their first and
  /// their last operation; the kept schedule stays as it is.
  void reinsert(bool waits);

  /// Whether the changed schedule is not worth being evaluated: by what a change of paths touches alone, and
  /// the longest paths of the kept schedule that it does not, the cost is above `limit`. An estimate: forwards
  /// are taken to find their memory, and jobs to end no earlier than the operations looked at would let them.
  /// False for other changes. At most once a change, in front of `evaluate`; about 50 ns for each operation
  /// that takes another time until one is too late.
  bool hopeless(double limit);
  /// Cost of the changed schedule, or some number above `limit` when it is above; kNever when
  /// micro-batches wait for each other's memory for ever. Takes about 10 ns per operation between the first
  /// and the last change; of a schedule that is not above `limit` by then, for all behind it too.
  double evaluate(double limit);
  /// Ends a change: `keep` takes the schedule that was just evaluated within its limit.
  void keep();
  void revert();

  bool only_order_changed() const { return dirty_jobs_.empty() && swapped_nodes_.empty(); }
  /// How many W's must run in front of an operation even if they delay it, and how many do.
  int urgent(int operation) const { return kept_urgent_[operation]; }
  int weights_before(int operation) const { return weights_[operation]; }
  void set_urgent(int operation, int weights);

  // The kept schedule.
  double cost() const { return cost_; }
  double makespan() const { return ends_.makespan; }
  double iteration() const;
  double objective() const {
    return problem_->objective == Objective::kMakespan ? ends_.makespan : iteration();
  }
  /// The objective and what is owed to the sources: what a search is after.
  double goal() const { return objective() + penalty_; }
  /// Visits [source][stage], those of the coverage's earlier plans too.
  const List<int>& visits_by_source() const { return covered_; }
  /// Where it stands in the list, with its start there: before contention.
  const Placed& at(int position) const { return placed_[position]; }
  int position_of(int operation) const { return position_[operation]; }
  /// Whether moving what stands at `at`, and with it what its job has in between, to `to` changes the order on
  /// any node; true, too, where another of its job is in between.
  bool reorders(int at, int to) const;
  /// Of neighbours on a node: whether the later one is a forward that finds room when the other has run only.
  bool waits_for(int before, int after) const {
    const Step& step = kept_steps_[placed_[before].operation];
    return step.memory < 0 && memory_of(placed_[after].operation) > 0 && !split() &&
           held_[before] == node_[step.node].memory;
  }
  int job_at(int position) const { return kept_order_[position]; }
  int node_of(int operation) const { return kept_steps_[operation].node; }
  int memory_of(int operation) const { return kept_steps_[operation].memory; }
  /// Position of the operation whose end decides the objective.
  int last_position() const { return ends_.last_position; }
  /// Whether an operation starts when its node lets it, not when its job does.
  bool bound_by_node(int position) const;
  Draft draft() const;
  void draft_into(Draft& out) const;
  /// Takes another schedule instead.
  void restart(const Draft& draft);
  /// Starts of all operations of a job.
  List<double> starts(int job) const;
  /// Starts of the W of every B, indexed by the operation (split; 0 at other operations).
  List<double> weight_starts() const;

 private:
  struct JobState {
    double ready = 0;
    int next = 0;
    int owed = 0;  // entries of the list that came while it waited
  };
  struct NodeState {
    double free = 0;
    std::int16_t held = 0, memory = 0;
    int last = -1;    // position of what ran last
    int weights = 0;  // W's that may run
  };
  /// An operation's turn on its node; operations() + node stands in front of the first one there.
  struct Turn {
    double start = 0;
    int before = -1, after = -1;  // operations
  };
  /// The new turn of an operation that takes another one: in the order of (time, rank), which is that of the
  /// changed list.
  struct Moved {
    double time = 0;
    int rank = 0;
    bool is = false;
  };
  /// From the start of an operation to the last end that it decides in the kept schedule, and through
  /// which jobs that leads.
  struct Tail {
    double length = 0;
    std::uint64_t jobs = 0;
  };
  /// Jobs that wait for the memory of a node, first come, first served.
  struct Queue {
    int first = -1, last = -1;
  };
  /// When what is done so far ended.
  struct Ends {
    double makespan = 0, iteration = 0;
    int last_position = 0;
  };
  /// Bounds while decoding, and where the next operation is recorded.
  struct Clock {
    double most = 0, sum = 0;
    Placed* recorded = nullptr;
  };
  template <bool kSplit>
  double run(int from, double limit);
  template <bool kSplit>
  bool step(int job, Clock& clock);
  template <bool kSplit>
  Clock resume(int node, Clock clock);
  static std::uint64_t bit_of(int job) { return std::uint64_t{1} << (job % 64); }
  void set_up_turns();
  void take_turn(int operation, double time, int rank);
  void restore_turns();
  Turn& touch(int operation);
  void due(int operation, bool so);
  void take_out();
  void put_in(int operation);
  bool late_alone(double limit) const;
  std::uint64_t move_paths();
  int next_due(int& word, int& moved);
  bool spread(double limit, std::uint64_t jobs);
  void place_lifted();
  int settled() const;
  void lift(int job, bool waits);
  bool follow_in_time();
  void follow();
  double followed(int checkpoint) const;
  bool as_kept(int checkpoint) const;
  void run_weights(NodeState& node, const Step& step, const JobState& job);
  double weights_end(int node) const;
  bool split() const { return problem_->weight_factor.has_value(); }
  double reduction_behind(int node) const;
  double evaluate_list(double limit);
  double retime(double limit);
  void take_end(Ends& ends, double end, int node, int position) const;
  void end_weights(Ends& ends) const;
  void take_ends();
  double start_at(int position) const {
    return traffic_ ? actual_[placed_[position].operation] : placed_[position].start;
  }
  void set_up_extensions();
  double owed() const;
  void price(int job);
  void touch_job(int job, int first, int last);
  void touch_order(int first, int last);
  void count_path(int job, int sign);
  void swap_groups(int a, int b);
  int load();
  void load_states(int checkpoint);
  int take_recorded(int from);
  void save_checkpoints(int checkpoint);
  void take_kept_turn(int position, int node, int last);
  void forget_changes();
  List<std::uint16_t> order_by_lonely_times() const;
  double release(int job) const;

  const Problem* problem_;
  Track track_;
  double mean_weight_;
  int length_, per_job_ = 0;
  List<Job> jobs_;
  Arrangement arrangement_;
  List<double> reductions_;
  List<int> visits_, routed_;
  const Coverage* coverage_;
  List<int> covered_;  // [source][stage]; empty without coverage
  double penalty_ = 0;

  List<std::uint16_t> order_, kept_order_;
  List<Step> steps_, kept_steps_;
  List<int> tried_path_, kept_path_;
  // What the change touched: no time of an operation outside [first, last] changes by itself.
  int first_changed_ = 0, last_changed_ = -1;
  int order_low_ = 0, order_high_ = -1;
  List<int> dirty_jobs_;
  List<char> dirty_;
  List<std::pair<int, int>> swapped_nodes_;
  List<std::pair<double, int>> lifted_;  // jobs that are reinserted: start and job
  List<int> lifted_from_;                // then per job: the first operation that moves
  // Turns as they are kept, and with the change; of each operation, then one in front of each node's first.
  List<Turn> kept_turns_, turns_;
  List<Moved> moved_;
  List<int> moved_operations_, touched_;
  int touched_count_ = 0;       // at most 4 of each that moved and one of each operation
  List<std::uint64_t> due_;     // positions, as bits
  List<std::uint16_t> job_of_;  // per operation
  List<int> dirty_urgent_;

  // Split: per operation, how many W's must, and how many do run in front of it.
  List<std::uint8_t> urgent_, kept_urgent_;
  List<int> tried_weights_, weights_;
  List<double> weight_s_;  // per node: what a W takes
  // Contention: times of the kept schedule, and what Traffic is given.
  std::optional<Traffic> traffic_;
  List<double> actual_, wait_behind_, releases_;
  List<int> sequence_;

  List<Placed> placed_;
  List<std::int16_t> held_;  // per position: by its node, in front of it
  List<int> position_;
  double cost_ = kNever;
  Ends ends_;

  // While decoding.
  List<JobState> job_;
  List<NodeState> node_;
  List<Queue> queues_;  // per node
  List<int> after_;     // who is behind a job in its queue
  List<int> resumed_;   // nodes where memory got free, the last one first
  int waiting_ = 0;
  double most_ = 0, sum_ = 0;
  List<Placed> recorded_;
  int evaluated_from_ = 0;
  double evaluated_cost_ = kNever;
  bool unchanged_ = false;  // no time differs from the kept schedule's: it was not run to its end
  // The state before every kStride-th position of the kept order.
  static constexpr int kStride = 16;
  List<JobState> saved_job_;
  List<NodeState> saved_node_;
  List<Ends> saved_;
  List<Tail> tails_;  // per operation; then behind a job's last one, and behind a node's
  double sum_of_ends_ = 0;
  bool followed_ = false;  // whether they are those of the kept schedule
  int asked_ = 0;          // how often that was asked since it was kept
};

}  // namespace rw::planner
