// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "comm/communicator.h"
#include "model/params.h"
#include "model/stage.h"
#include "pipeline/pieces.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// How gradients (and, when sharded, values) travel between replicas.
struct ReduceOptions {
  std::int64_t bucket_bytes = 0;  // > 0: largest message, in bytes of f32
  comm::Wire wire = comm::Wire::kF32;
  bool sharded = false;  // ZeRO-1: every rank gets the sums of what it owns only
};

/// Sums the gradients of one rank over the replicas of its stages while later backward work goes on:
/// a bucket leaves as soon as its last micro-batch has contributed. Every element is summed in the
/// order of ranks, so neither bucket size nor timing nor sharding changes a bit. Replicas may have
/// worked on different numbers of micro-batches, none included.
class Reducer {
 public:
  /// `pieces`, `params`, `stages` (stages of this rank, by number) outlive it.
  Reducer(const Pieces& pieces, const Plan& plan, int rank, const model::Params& params,
          const std::map<int, model::Stage*>& stages, const ReduceOptions& options);

  /// A new step: nothing has been reported.
  void begin();
  /// `stage` has added one micro-batch's last contribution to `bucket`.
  void bucket_done(int stage, int bucket);
  /// Sends off what `stage` still holds back and waits until its sums are there.
  void finish(int stage);

 private:
  struct Sending {
    const Piece* piece = nullptr;
    std::vector<std::vector<core::Tensor>> cuts;  // of one tensor each unless sharded
    std::vector<comm::Ticket> tickets;
    bool sent = false;
  };
  void launch(int stage, int bucket);
  void send(Sending& one);
  static bool mine(const Sending& one, int stage);

  ReduceOptions options_;
  std::vector<Sending> sendings_;
  std::vector<int> expected_, reported_;  // per bucket
  std::map<int, std::vector<int>> buckets_of_stage_;
};

}  // namespace rw::pipeline
