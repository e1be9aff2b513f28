// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace rw::pipeline {

enum class OpKind : std::uint8_t {
  kForward,
  kBackward,        // backward_input and backward_weight in one
  kBackwardInput,   // gradient for the stage before
  kBackwardWeight,  // gradient of the parameters; some time after kBackwardInput
  kSendActivation,
  kReceiveActivation,
  kSendGradient,
  kReceiveGradient,
  kReduce,  // waits until this stage's gradients are summed over its replicas
  kUpdate   // loss, gradient norm, optimizer
};
inline constexpr int kOpKinds = 10;
/// "forward", "backward", "backward_input", …
const char* op_name(OpKind kind);

/// Forwards and backwards; the others move tensors, wait or update.
constexpr bool computes(OpKind kind) {
  return kind == OpKind::kForward || kind == OpKind::kBackward || kind == OpKind::kBackwardInput ||
         kind == OpKind::kBackwardWeight;
}

/// One line of a rank's list. `stage` is the stage on this rank: a send carries what (micro_batch,
/// stage) made, a receive what it needs.
struct Operation {
  OpKind kind = OpKind::kForward;
  int micro_batch = -1;  // -1: reduce, update
  int stage = -1;        // -1: update
  int peer = -1;         // messages: the other rank
  int tag = -1;          // messages: unique among those from one rank to another
  bool operator==(const Operation&) const = default;
  bool receives() const {
    return kind == OpKind::kReceiveActivation || kind == OpKind::kReceiveGradient;
  }
  bool sends() const { return kind == OpKind::kSendActivation || kind == OpKind::kSendGradient; }
  std::string text() const;  // "send_activation of micro-batch 3, stage 1, to rank 2"
};

/// One station of a micro-batch: which rank (replica) of the stage works on it.
struct Visit {
  int stage = 0;
  int rank = 0;
  bool operator==(const Visit&) const = default;
};

/// From when to when, in seconds since the step began.
struct Span {
  double begin = 0;
  double end = 0;
  double length() const { return end - begin; }
  bool operator==(const Span&) const = default;
};

/// How messages are bounded. A rank's receives are posted in the order of its list, at most
/// `receive_buffers` beyond those that are through; a send is through when its receive is posted; a
/// rank goes on after a send while at most `send_buffers` are under way, and lets them go in order.
struct Channels {
  int receive_buffers = 4;
  int send_buffers = 4;
  bool operator==(const Channels&) const = default;
};

/// What every rank does in one step, in which order. Data only: any planner makes one, plan_check
/// judges it, simulate times it, the one executor runs it.
struct Plan {
  std::string schedule;       // which planner made it, for people
  int stages = 0;             // stage 0 has the embedding, the last one the head
  bool head_alone = false;    // the last stage has no layers (docs/adr/0010-loss-at-the-source.md)
  bool forward_only = false;  // evaluation: neither backward nor reduce nor update
  Channels channels;
  std::vector<std::vector<int>> stages_of_rank;  // the stages that a rank holds
  /// Most (micro-batch, stage) pairs a rank may keep between forward and weight gradient at once.
  std::vector<int> live_bound;
  std::vector<std::vector<Visit>> paths;           // per micro-batch; stages may be left out
  std::vector<std::vector<Operation>> operations;  // per rank
  /// When each operation is expected to run; of a message, its way from one rank to the other. As
  /// `operations`, or empty: nobody knows.
  std::vector<std::vector<Span>> predicted;
  int ranks() const { return static_cast<int>(operations.size()); }
  int micro_batches() const { return static_cast<int>(paths.size()); }
  bool operator==(const Plan&) const = default;
};

/// Position of `stage` in a path; -1 when it is left out.
int position_in(const std::vector<Visit>& path, int stage);
/// Micro-batches whose paths have this station.
int count_visits(const Plan& plan, const Visit& station);
/// Most micro-batches · stages of a plan with messages: each has two tags (comm/checks.h).
inline constexpr std::int64_t kMostTagged = std::int64_t{1} << 19;
/// The tag of the message that (micro_batch, stage) sends. Throws Error{kRecipe} when there are more
/// micro-batches · stages than kMostTagged.
int message_tag(int micro_batch, int stage, int stages, bool gradient);

/// The text form in output_dir/plan/: one operation is ["forward", micro_batch, stage] or
/// ["send_activation", micro_batch, stage, peer, tag].
core::Json to_json(const Plan& plan);
/// Throws Error{kDataMalformed} "WHERE: key[3]: got …, want …". The plan is not judged: see
/// plan_check.h.
Plan plan_from_json(const core::Json& json, const std::string& where);

}  // namespace rw::pipeline
