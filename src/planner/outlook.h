// Part of Ropewalk, MIT licence.
#pragma once
#include "planner/arrangement.h"
#include "planner/dice.h"
#include "planner/list.h"
#include "planner/problem.h"

namespace rw::planner {

/// What an arrangement lets micro-batches reach, estimated without a schedule: their round trips by shortest
/// paths on which crowded nodes have a price, that of the Lagrangian relaxation of a limit on each node's
/// visits (docs/planner.md, starts). Prices stay from call to call: arrangements that differ little need
/// few rounds.
class Outlook {
 public:
  /// `problem` is not copied. For paths of two nodes and more.
  explicit Outlook(const Problem& problem);

  /// The round trip in seconds from the F to the B of a source, alone on its way, the loss by the source's
  /// speed: the mean over the sources, and from there some way to the worst of them. Moves the prices `rounds` times; each takes about
  /// sources · path_length · (inner nodes)² / 2 ns.
  double trip(const Arrangement& arrangement, int rounds);
  /// One price per node, in seconds.
  const List<double>& prices() const { return prices_; }
  void set_prices(const List<double>& prices) { prices_ = prices; }

 private:
  void place(const Arrangement& arrangement);
  double cheapest(int source);
  double work(int node) const;
  double hop(int a, int b) const { return hops_.at(a, b); }

  const Problem& p_;
  Matrix hops_;  // there and back
  List<double> prices_, limits_;
  double trip_ = 0;      // of the first call: what prices move by
  List<int> inner_;      // nodes by stage
  List<int> begin_;      // of each stage in `inner_`, and behind the last one
  List<double> cost_;    // per step and inner node
  List<int> from_;       // the same: index into `inner_`
  List<double> visits_;  // per node
};

/// Exchanges nodes between the groups of an arrangement, so that the outlook, for the objective iteration
/// with the largest reduction, gets better and no reduction gets above the cap, or further above it:
/// `tries` exchanges by simulated annealing. `may_be_source`: per node. Leaves the best one seen.
void improve_outlook(const Problem& problem, const List<char>& may_be_source, Dice& dice, int tries,
                     Arrangement& arrangement);

}  // namespace rw::planner
