// Part of Ropewalk, MIT licence.
#include "pipeline/classic.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "pipeline/placement.h"
#include "pipeline/plan_check.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

Plan start_plan(const std::string& schedule, const Problem& problem) {
  const auto& p = problem;
  if (p.dp < 1 || p.pp < 1 || p.chunks < 1 || p.micro_batches < 1) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline {}: got dp {}, pp {}, chunks {}, micro-batches {}; want all "
                            "at least 1",
                            schedule, p.dp, p.pp, p.chunks, p.micro_batches));
  }
  Plan plan;
  plan.schedule = schedule;
  plan.stages = problem.stages();
  plan.stages_of_rank = place_stages(problem);
  plan.paths = straight_paths(problem);
  plan.operations.resize(at(problem.ranks()));
  return plan;
}

/// The micro-batches of a replica, in order.
std::vector<int> share(const Problem& problem, int replica) {
  std::vector<int> out;
  for (int m = replica; m < problem.micro_batches; m += problem.dp) out.push_back(m);
  return out;
}

void require_one_chunk(const std::string& schedule, const Problem& problem) {
  if (problem.chunks == 1) return;
  throw Error(ErrorKind::kRecipe,
              fmt::format("pipeline.schedule {}: got {} stages per rank; want 1; try interleaved",
                          schedule, problem.chunks));
}

/// warm_up forwards, then backward and forward in turn.
Plan one_after_the_other(const std::string& schedule, const Problem& problem, bool all_first) {
  require_one_chunk(schedule, problem);
  Plan plan = start_plan(schedule, problem);
  for (int rank = 0; rank < problem.ranks(); ++rank) {
    const int stage = rank % problem.pp;
    const auto share_of_rank = share(problem, rank / problem.pp);
    const int count = static_cast<int>(share_of_rank.size());
    const int warm_up = all_first ? count : std::min(count, problem.pp - stage);
    auto& list = plan.operations[at(rank)];
    for (int i = 0; i < warm_up; ++i)
      list.push_back({OpKind::kForward, share_of_rank[at(i)], stage});
    for (int i = 0; i < count; ++i) {
      list.push_back({OpKind::kBackward, share_of_rank[at(i)], stage});
      if (i + warm_up < count) {
        list.push_back({OpKind::kForward, share_of_rank[at(i + warm_up)], stage});
      }
    }
  }
  complete(plan);
  return plan;
}

/// One (index of a micro-batch in its replica's share, chunk).
struct Turn {
  int index = 0;
  int chunk = 0;
};

/// Groups of pp micro-batches: the group through the rank's first stage, then through its second, …
/// The last group is filled up with micro-batches that do not exist: an order that is sound stays so
/// without them.
std::vector<Turn> interleaved_turns(const Problem& problem, int count, bool backward) {
  std::vector<Turn> out;
  for (int first = 0; first < count; first += problem.pp) {
    for (int chunk = 0; chunk < problem.chunks; ++chunk) {
      for (int i = 0; i < problem.pp; ++i) {
        out.push_back({first + i, backward ? problem.chunks - 1 - chunk : chunk});
      }
    }
  }
  return out;
}

void interleave(const Problem& problem, int rank, std::vector<Operation>& list) {
  const auto mine = share(problem, rank / problem.pp);
  const int count = static_cast<int>(mine.size());
  const int position = rank % problem.pp;
  const auto add = [&](OpKind kind, const Turn& turn) {
    if (turn.index < count) {
      list.push_back({kind, mine[at(turn.index)], turn.chunk * problem.pp + position});
    }
  };
  const auto forwards = interleaved_turns(problem, count, false);
  const auto backwards = interleaved_turns(problem, count, true);
  const int behind = problem.pp - 1 - position;
  const int ahead = problem.chunks == 1 ? behind : 2 * behind + (problem.chunks - 1) * problem.pp;
  const std::size_t warm_up = std::min(at(ahead), forwards.size());
  for (std::size_t i = 0; i < warm_up; ++i) add(OpKind::kForward, forwards[i]);
  for (std::size_t i = 0; i < forwards.size(); ++i) {
    if (i + warm_up < forwards.size()) add(OpKind::kForward, forwards[i + warm_up]);
    add(OpKind::kBackward, backwards[i]);
  }
}

void add_messages(Plan& plan, int rank) {
  std::vector<Operation> out;
  for (const Operation& op : plan.operations[at(rank)]) {
    const auto& path = plan.paths[at(op.micro_batch)];
    const int here = position_in(path, op.stage);
    const bool has_before = here > 0 && path[at(here - 1)].rank != rank;
    const bool has_after = at(here) + 1 < path.size() && path[at(here + 1)].rank != rank;
    const Visit before = has_before ? path[at(here - 1)] : Visit{};
    const Visit after = has_after ? path[at(here + 1)] : Visit{};
    const int m = op.micro_batch;
    const auto tag = [&](int stage, bool gradient) {
      return message_tag(m, stage, plan.stages, gradient);
    };
    const bool forward = op.kind == OpKind::kForward;
    const bool backward = op.kind == OpKind::kBackward || op.kind == OpKind::kBackwardInput;
    if (forward && has_before) {
      out.push_back(
          {OpKind::kReceiveActivation, m, op.stage, before.rank, tag(before.stage, false)});
    }
    if (backward && has_after) {
      out.push_back({OpKind::kReceiveGradient, m, op.stage, after.rank, tag(after.stage, true)});
    }
    out.push_back(op);
    if (forward && has_after) {
      out.push_back({OpKind::kSendActivation, m, op.stage, after.rank, tag(op.stage, false)});
    }
    if (backward && has_before) {
      out.push_back({OpKind::kSendGradient, m, op.stage, before.rank, tag(op.stage, true)});
    }
  }
  if (!plan.forward_only) {
    const auto& held = plan.stages_of_rank[at(rank)];
    for (auto stage = held.rbegin(); stage != held.rend(); ++stage) {
      out.push_back({OpKind::kReduce, -1, *stage});
    }
    out.push_back({OpKind::kUpdate});
  }
  plan.operations[at(rank)] = std::move(out);
}

}  // namespace

void complete(Plan& plan) {
  for (int rank = 0; rank < plan.ranks(); ++rank) add_messages(plan, rank);
  plan.live_bound.assign(plan.operations.size(), 0);
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    plan.live_bound[at(rank)] = peak_live(plan, rank);
  }
  const int enough = plan.micro_batches() * plan.stages * 2;  // more than any rank has messages
  while (plan.channels.receive_buffers < enough && !deadlock_problem(plan).empty()) {
    ++plan.channels.receive_buffers;
    ++plan.channels.send_buffers;
  }
}

Plan plan_gpipe(const Problem& problem) { return one_after_the_other("gpipe", problem, true); }

Plan plan_1f1b(const Problem& problem) { return one_after_the_other("1f1b", problem, false); }

Plan plan_interleaved(const Problem& problem) {
  Plan plan = start_plan("interleaved", problem);
  for (int rank = 0; rank < problem.ranks(); ++rank) {
    interleave(problem, rank, plan.operations[at(rank)]);
  }
  complete(plan);
  return plan;
}

Plan plan_zero_bubble(const Problem& problem) {
  require_one_chunk("zero_bubble", problem);
  Plan plan = start_plan("zero_bubble", problem);
  for (int rank = 0; rank < problem.ranks(); ++rank) {
    const int stage = rank % problem.pp;
    const auto mine = share(problem, rank / problem.pp);
    const int count = static_cast<int>(mine.size());
    const int warm_up = std::min(count, problem.pp - stage);
    auto& list = plan.operations[at(rank)];
    for (int i = 0; i < warm_up; ++i) list.push_back({OpKind::kForward, mine[at(i)], stage});
    for (int i = 0; i < count + stage; ++i) {  // weights lag behind inputs by `stage`
      if (i < count) list.push_back({OpKind::kBackwardInput, mine[at(i)], stage});
      if (i >= stage) list.push_back({OpKind::kBackwardWeight, mine[at(i - stage)], stage});
      if (i + warm_up < count) list.push_back({OpKind::kForward, mine[at(i + warm_up)], stage});
    }
  }
  complete(plan);
  return plan;
}

Plan plan_forward(const Plan& like, int micro_batches) {
  Plan plan;
  plan.schedule = "forward";
  plan.forward_only = true;
  plan.stages = like.stages;
  plan.head_alone = like.head_alone;
  plan.stages_of_rank = like.stages_of_rank;
  plan.operations.resize(like.operations.size());
  std::vector<std::vector<int>> replicas(at(plan.stages));
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const int stage : plan.stages_of_rank[at(rank)]) replicas[at(stage)].push_back(rank);
  }
  for (int m = 0; m < micro_batches; ++m) {
    auto& path = plan.paths.emplace_back();
    for (int stage = 0; stage < plan.stages; ++stage) {
      const auto& ranks = replicas[at(stage)];
      path.push_back({stage, ranks[at(m) % ranks.size()]});
    }
  }
  // In waves: stage s works on micro-batch m in wave m + s, so that stages overlap.
  for (int wave = 0; wave < micro_batches + plan.stages - 1; ++wave) {
    for (int stage = std::max(0, wave - micro_batches + 1);
         stage <= std::min(wave, plan.stages - 1); ++stage) {
      const int m = wave - stage;
      const int rank = plan.paths[at(m)][at(stage)].rank;
      plan.operations[at(rank)].push_back({OpKind::kForward, m, stage});
    }
  }
  complete(plan);
  return plan;
}

Plan make_plan(const std::string& schedule, const Problem& problem) {
  if (schedule == "gpipe") return plan_gpipe(problem);
  if (schedule == "1f1b") return plan_1f1b(problem);
  if (schedule == "interleaved") return plan_interleaved(problem);
  if (schedule == "zero_bubble") return plan_zero_bubble(problem);
  throw Error(ErrorKind::kRecipe, fmt::format("pipeline.schedule: {}: not in this version; try "
                                              "gpipe, 1f1b, interleaved or zero_bubble",
                                              schedule));
}

}  // namespace rw::pipeline
