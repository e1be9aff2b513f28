// Part of Ropewalk, MIT licence.
#include "pipeline/plan_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.h"

namespace rw::pipeline {
namespace {

constexpr int kMaxTag = 1 << 20;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// How far one (micro-batch, stage) is on its rank.
struct Progress {
  int position = 0;  // in the path
  bool x_received = false, forward = false, y_sent = false;
  bool dy_received = false, input = false, weight = false, dx_sent = false;
};

/// Goes through one rank's list and holds every operation against what came before it.
class RankOrder {
 public:
  RankOrder(const Plan& plan, int rank, int live_bound)
      : plan_(plan), rank_(rank), live_bound_(live_bound) {
    for (int m = 0; m < plan.micro_batches(); ++m) {
      const auto& path = plan.paths[at(m)];
      for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i].rank == rank) visits_[{m, path[i].stage}].position = static_cast<int>(i);
      }
    }
  }

  std::string run() {
    const auto& list = plan_.operations[at(rank_)];
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string problem = take(list[i]);
      if (!problem.empty()) {
        return fmt::format("rank {}, operation {} ({}): {}", rank_, i, list[i].text(), problem);
      }
    }
    const std::string problem = missing();
    return problem.empty() ? problem : fmt::format("rank {}: {}", rank_, problem);
  }

  int peak() const { return peak_; }

 private:
  const std::vector<Visit>& path(int m) const { return plan_.paths[at(m)]; }
  const Visit* before(const Operation& op, const Progress& p) const {
    return p.position == 0 ? nullptr : &path(op.micro_batch)[at(p.position - 1)];
  }
  const Visit* after(const Operation& op, const Progress& p) const {
    const auto next = at(p.position + 1);
    return next == path(op.micro_batch).size() ? nullptr : &path(op.micro_batch)[next];
  }
  const Progress& local(const Operation& op, const Visit& visit) const {
    return visits_.at({op.micro_batch, visit.stage});
  }

  std::string take(const Operation& op) {
    if (updated_) return "comes after the update; want the update last";
    if (op.kind == OpKind::kUpdate) return take_update();
    if (op.kind == OpKind::kReduce) return take_reduce(op);
    if (!reduced_.empty()) return "comes after a reduce; want every reduce after all other work";
    const auto found = visits_.find({op.micro_batch, op.stage});
    if (found == visits_.end()) return "this micro-batch's path has no such stage on this rank";
    Progress& p = found->second;
    if (plan_.forward_only && op.kind != OpKind::kForward && op.kind != OpKind::kSendActivation &&
        op.kind != OpKind::kReceiveActivation) {
      return "a forward-only plan has no such operation";
    }
    if (op.sends() || op.receives()) return take_message(op, p);
    return take_compute(op, p);
  }

  std::string take_update() {
    if (plan_.forward_only) return "a forward-only plan has no update";
    if (reduced_.size() != plan_.stages_of_rank[at(rank_)].size()) {
      return "comes before all of this rank's stages are reduced";
    }
    updated_ = true;
    return "";
  }

  std::string take_reduce(const Operation& op) {
    const auto& held = plan_.stages_of_rank[at(rank_)];
    if (plan_.forward_only) return "a forward-only plan has no reduce";
    if (std::find(held.begin(), held.end(), op.stage) == held.end()) {
      return "this rank does not hold the stage";
    }
    if (!reduced_.insert(op.stage).second) return "done twice";
    const std::string problem = missing_work();
    return problem.empty() ? problem : "comes too early: " + problem;
  }

  std::string take_compute(const Operation& op, Progress& p) {
    if (op.kind == OpKind::kForward) {
      const Visit* from = before(op, p);
      if (p.forward) return "done twice";
      const bool ready =
          from == nullptr || (from->rank == rank_ ? local(op, *from).forward : p.x_received);
      if (!ready) return "its input is not there yet";
      p.forward = true;
      if (!plan_.forward_only) return grow();
      return "";
    }
    if (!p.forward) return "comes before its forward";
    if (op.kind != OpKind::kBackwardWeight) {
      const Visit* from = after(op, p);
      if (p.input) return "done twice";
      const bool ready =
          from == nullptr || (from->rank == rank_ ? local(op, *from).input : p.dy_received);
      if (!ready) return "its gradient is not there yet";
      p.input = true;
    }
    if (op.kind != OpKind::kBackwardInput) {
      if (!p.input) return "comes before its backward_input";
      if (p.weight) return "done twice";
      p.weight = true;
      --live_;
    }
    return "";
  }

  std::string grow() {
    peak_ = std::max(peak_, ++live_);
    if (live_ <= live_bound_) return "";
    return fmt::format("memory: would keep {} (micro-batch, stage) pairs; want at most {}", live_,
                       live_bound_);
  }

  std::string take_message(const Operation& op, Progress& p) {
    const bool forward = op.kind == OpKind::kSendActivation || op.kind == OpKind::kReceiveGradient;
    const Visit* other = forward ? after(op, p) : before(op, p);
    if (other == nullptr) return "the path has no stage there";
    if (other->rank == rank_) return "that stage is on this rank; want no message";
    if (other->rank != op.peer) {
      return fmt::format("got peer {}, want {} as the path says", op.peer, other->rank);
    }
    if (op.kind == OpKind::kSendActivation && !p.forward) return "comes before its forward";
    if (op.kind == OpKind::kSendGradient && !p.input) return "comes before its backward";
    bool& done = op.kind == OpKind::kSendActivation      ? p.y_sent
                 : op.kind == OpKind::kSendGradient      ? p.dx_sent
                 : op.kind == OpKind::kReceiveActivation ? p.x_received
                                                         : p.dy_received;
    if (std::exchange(done, true)) return "done twice";
    return "";
  }

  std::string missing_work() const {
    for (const auto& [key, p] : visits_) {
      const auto& [m, stage] = key;
      const auto& visits = path(m);
      const bool last = at(p.position) + 1 == visits.size();
      const bool y_out = !last && visits[at(p.position + 1)].rank != rank_;
      const bool dx_out = p.position > 0 && visits[at(p.position - 1)].rank != rank_;
      const char* what = nullptr;
      if (!p.forward) what = "forward";
      if (what == nullptr && y_out && !p.y_sent) what = "send_activation";
      if (!plan_.forward_only && what == nullptr) {
        if (!p.input) what = "backward";
        if (what == nullptr && !p.weight) what = "backward_weight";
        if (what == nullptr && dx_out && !p.dx_sent) what = "send_gradient";
      }
      if (what != nullptr) {
        return fmt::format("incomplete: no {} of micro-batch {}, stage {}", what, m, stage);
      }
    }
    return "";
  }

  std::string missing() const {
    std::string problem = missing_work();
    if (!problem.empty() || plan_.forward_only || updated_) return problem;
    return "incomplete: no update";
  }

  const Plan& plan_;
  int rank_;
  int live_bound_;
  std::map<std::pair<int, int>, Progress> visits_;  // (micro-batch, stage) on this rank
  std::set<int> reduced_;
  bool updated_ = false;
  int live_ = 0;
  int peak_ = 0;
};

std::string path_problem(const Plan& plan, int m) {
  const auto& path = plan.paths[at(m)];
  if (path.empty() || path.front().stage != 0 || path.back().stage != plan.stages - 1) {
    return fmt::format("path of micro-batch {}: want it to begin at stage 0 and end at stage {}", m,
                       plan.stages - 1);
  }
  std::set<int> seen;
  for (const Visit& visit : path) {
    const bool held = visit.rank >= 0 && visit.rank < plan.ranks() &&
                      std::count(plan.stages_of_rank[at(visit.rank)].begin(),
                                 plan.stages_of_rank[at(visit.rank)].end(), visit.stage) == 1;
    if (!held) {
      return fmt::format("path of micro-batch {}: rank {} does not hold stage {}", m, visit.rank,
                         visit.stage);
    }
    if (!seen.insert(visit.stage).second) {
      return fmt::format("path of micro-batch {}: visits stage {} twice", m, visit.stage);
    }
  }
  return "";
}

}  // namespace

std::string placement_problem(const Plan& plan) {
  const std::size_t ranks = plan.operations.size();
  if (ranks == 0 || plan.stages <= 0 || plan.paths.empty()) {
    return "want at least one rank, one stage and one micro-batch";
  }
  if (plan.stages_of_rank.size() != ranks || plan.live_bound.size() != ranks) {
    return fmt::format("got stages of {} and memory bounds of {} ranks; want {} of each",
                       plan.stages_of_rank.size(), plan.live_bound.size(), ranks);
  }
  if (plan.channels.receive_buffers < 1 || plan.channels.send_buffers < 1) {
    return "want at least one receive and one send buffer";
  }
  std::set<int> held;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::set<int> mine;
    for (const int stage : plan.stages_of_rank[rank]) {
      if (stage < 0 || stage >= plan.stages || !mine.insert(stage).second) {
        return fmt::format("rank {}: got stage {}; want each at most once, below {}", rank, stage,
                           plan.stages);
      }
      held.insert(stage);
    }
  }
  for (int stage = 0; stage < plan.stages; ++stage) {
    if (held.count(stage) == 0) return fmt::format("no rank holds stage {}", stage);
  }
  for (int m = 0; m < plan.micro_batches(); ++m) {
    std::string problem = path_problem(plan, m);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string order_problem(const Plan& plan) {
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    std::string problem = RankOrder(plan, rank, plan.live_bound[at(rank)]).run();
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string message_problem(const Plan& plan) {
  std::map<std::tuple<int, int, int>, Operation> sends;  // from, to, tag
  std::map<std::tuple<int, int, int>, Operation> receives;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const Operation& op : plan.operations[at(rank)]) {
      if (!op.sends() && !op.receives()) continue;
      const auto key =
          op.sends() ? std::tuple(rank, op.peer, op.tag) : std::tuple(op.peer, rank, op.tag);
      if (op.tag < 0 || op.tag >= kMaxTag) {
        return fmt::format("rank {}: {}: got tag {}; want 0 to {}", rank, op.text(), op.tag,
                           kMaxTag - 1);
      }
      if (!(op.sends() ? sends : receives).emplace(key, op).second) {
        return fmt::format("rank {}: {}: tag {} is taken by another message of the same two ranks",
                           rank, op.text(), op.tag);
      }
    }
  }
  for (const auto& [key, send] : sends) {
    const auto receive = receives.find(key);
    const bool gradient = send.kind == OpKind::kSendGradient;
    if (receive == receives.end() || receive->second.micro_batch != send.micro_batch ||
        (receive->second.kind == OpKind::kReceiveGradient) != gradient) {
      return fmt::format("rank {}: {}: no receive with its tag {} on rank {}", std::get<0>(key),
                         send.text(), send.tag, std::get<1>(key));
    }
  }
  for (const auto& [key, receive] : receives) {
    if (sends.count(key) == 0) {
      return fmt::format("rank {}: {}: nobody sends it (tag {})", std::get<1>(key), receive.text(),
                         receive.tag);
    }
  }
  return "";
}

std::string prediction_problem(const Plan& plan) {
  if (plan.predicted.empty()) return "";
  if (plan.predicted.size() != plan.operations.size()) {
    return fmt::format("got predicted times of {} ranks; want {}, or none", plan.predicted.size(),
                       plan.operations.size());
  }
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const auto& spans = plan.predicted[at(rank)];
    const auto& list = plan.operations[at(rank)];
    if (spans.size() != list.size()) {
      return fmt::format("rank {}: got {} predicted times; want one per operation, {}", rank,
                         spans.size(), list.size());
    }
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const bool good =
          std::isfinite(spans[i].end) && spans[i].begin >= 0 && spans[i].begin <= spans[i].end;
      if (!good) {
        return fmt::format(
            "rank {}, operation {} ({}): got predicted times {} to {}; want "
            "0 <= begin <= end",
            rank, i, list[i].text(), spans[i].begin, spans[i].end);
      }
    }
  }
  return "";
}

int peak_live(const Plan& plan, int rank) {
  RankOrder order(plan, rank, std::numeric_limits<int>::max());
  order.run();
  return order.peak();
}

std::string plan_problem(const Plan& plan) {
  for (const auto check :
       {placement_problem, order_problem, message_problem, deadlock_problem, prediction_problem}) {
    std::string problem = check(plan);
    if (!problem.empty()) return problem;
  }
  return "";
}

void require_sound(const Plan& plan) {
  const std::string problem = plan_problem(plan);
  if (problem.empty()) return;
  throw core::Error(core::ErrorKind::kRecipe,
                    fmt::format("plan {}: {}; try another pipeline.schedule, or correct the plan",
                                plan.schedule, problem));
}

}  // namespace rw::pipeline
