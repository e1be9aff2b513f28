// Part of Ropewalk, MIT licence.
#pragma once
#include "planner/arrangement.h"
#include "planner/dice.h"
#include "planner/list.h"
#include "planner/problem.h"

namespace rw::planner {

/// What keeps an arrangement: a finite cap on the reduction of a stage, nodes that are still to be placed.
bool has_cap(const Problem& problem);
/// The largest reduction of an arrangement's stages, in seconds.
double largest_reduction(const Problem& problem, const Arrangement& arrangement);
/// Whether it keeps the cap, within kTolerance.
bool keeps_cap(const Problem& problem, const Arrangement& arrangement);
/// No arrangement of a problem has a largest reduction below this: nodes with the cheapest peers that
/// there are, as many as the stages take. In seconds.
double least_largest_reduction(const Problem& problem);

/// Looks for an arrangement under the cap and for nothing else: nodes are exchanged between stages by
/// simulated annealing on what the members take beyond the cap, from random starts, each other one
/// longer than the ones before. A function of (problem, who may be a source, dice).
class CapSearch {
 public:
  /// `may_be_source`: per node, of every other start; the rest take `could_be_source`. Refer to a
  /// problem that has_cap and outlives it.
  CapSearch(const Problem& problem, const List<char>& may_be_source,
            const List<char>& could_be_source, Dice dice);
  /// Some exchanges more, about 3 us; true when one is found, which best() then is.
  bool go_on();
  const Arrangement& best() const { return best_; }
  double best_reduction() const { return best_reduction_; }

 private:
  void start();
  double over(int stage) const;
  bool exchange(int a, int b);
  double pair(int stage, int a, int b) const;

  const Problem* p_;
  List<char> may_be_source_, could_be_source_;
  Dice dice_;
  double cap_;
  Matrix latency_, bytes_;  // of both ways: pair costs latency + bytes / members
  Arrangement now_, best_;
  double best_reduction_;
  List<double> sums_;   // per node: what it takes in its stage
  List<double> overs_;  // per stage: what its members take beyond the cap, all together
  List<double> was_;    // sums of two stages, before an exchange
  int starts_ = 0;
  int tried_ = 0, tries_ = 0;  // exchanges of this start
  double heat_ = 0, cooling_ = 1;
};

}  // namespace rw::planner
