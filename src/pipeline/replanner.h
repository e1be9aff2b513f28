// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include <atomic>

#include "comm/communicator.h"
#include "pipeline/plan.h"
#include "pipeline/walks.h"

namespace rw::pipeline {

/// A planner that starts from a plan in use: the same ranks, stages and micro-batches, each with the
/// same source (weights and rows do not move); other paths and another order, for what was measured.
/// Called on a thread of its own. May throw.
using Replan = std::function<Plan(const Plan& current, const WalkCosts& measured)>;

/// Plans anew in the background of one rank, one question at a time. Not thread-safe.
class Replanner {
 public:
  explicit Replanner(Replan replan) : replan_(std::move(replan)) {}
  Replanner(const Replanner&) = delete;
  Replanner& operator=(const Replanner&) = delete;
  ~Replanner();  // waits for the thread
  bool busy() const { return thread_.joinable(); }
  /// Starts; `current` is copied. Not while busy().
  void ask(const Plan& current, const WalkCosts& measured);
  /// The answer (or the failure) can be taken.
  bool ready() const { return busy() && done_; }
  /// The plan, or nothing and why (problem()) when the planner failed or gave a plan that must not take
  /// over. Only when ready().
  std::optional<Plan> take();
  const std::string& problem() const { return problem_; }

 private:
  Replan replan_;
  std::thread thread_;
  std::atomic<bool> done_{false};
  std::optional<Plan> answer_;  // written before done_
  std::string problem_;         // written before done_
};

/// Why `next` must not take over from `current`: "" or what differs that has to stay, or why it is not
/// sound.
std::string takeover_problem(const Plan& current, const Plan& next);

/// The plan of rank 0 on every rank. Collective.
Plan share_plan(comm::Communicator& world, const std::optional<Plan>& mine);

}  // namespace rw::pipeline
