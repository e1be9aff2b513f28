// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "planner/list.h"
#include "planner/problem.h"
#include "planner/step.h"

namespace rw::planner {

/// Times of operations whose order on every node is fixed, with transfers that share the nodes' NICs as
/// docs/formats/problem.md says (contention): event by event, exact.
class Traffic {
 public:
  /// `operations` in all, `per_job` of each job.
  Traffic(const Problem& problem, int operations, int per_job);

  struct Order {
    std::span<const Step> steps;    // per operation
    std::span<const int> sequence;  // all operations: those of a node and of a job in their order
    std::span<const double>
        wait_behind;                   // per operation: what W's in front of it block its node for
    std::span<const double> releases;  // per job
  };
  /// The cost that a schedule has at least, starting from what it is when nothing is in its way: the
  /// latest (start + tail) and `weight` times the sum of the ends of the jobs; some number above
  /// `limit`, with starts unfinished, when it is above.
  double run(const Order& order, double most, double weight, double limit);
  /// Per operation, of the last run.
  const List<double>& starts() const { return start_; }
  /// Of the jobs, of the last run that did not stop early.
  double ends_sum() const { return sum_; }

 private:
  /// A transfer under way (fair).
  struct Way {
    int operation = 0, from = 0, to = 0;
    double left = 0;  // seconds at the full rate
  };
  /// An operation has ended: its transfer asks for its way.
  using Ask = std::pair<double, int>;

  void set_out(const Order& order);
  void arrive(int operation, double time);
  void start_waiting(int node);
  void end(int operation, double time);
  void send(const Ask& ask);
  void move_on(double time);
  std::pair<double, int> next_done() const;
  double rate(const Way& way) const;

  Contention contention_;
  int per_job_;
  Order order_;
  List<double> start_, arrived_;
  List<int> next_on_node_;
  // Per node: what runs next, when it is free, when its sides are (serial), ways on its sides (fair).
  List<int> head_;
  List<double> free_, out_free_, in_free_;
  List<int> out_ways_, in_ways_;
  List<Ask> asks_;  // a heap, the earliest on top
  List<Way> ways_;
  double now_ = 0, most_ = 0, sum_ = 0;
};

}  // namespace rw::planner
