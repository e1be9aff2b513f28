// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "model/params.h"
#include "model/stage.h"
#include "pipeline/pieces.h"
#include "pipeline/plan.h"
#include "pipeline/table_rows.h"

namespace rw::pipeline {

/// How gradients (and, when sharded, values) travel between replicas.
struct ReduceOptions {
  std::int64_t bucket_bytes = 0;  // > 0: largest message, in bytes of f32
  comm::Wire wire = comm::Wire::kF32;
  bool sharded = false;          // ZeRO-1: every rank gets the sums of what it owns only
  std::int64_t step_tokens = 0;  // of all ranks: bounds the rows that a step looks up
};

/// Sums the gradients of one rank over the replicas of its stages while later backward work goes on:
/// a bucket leaves as soon as its last micro-batch has contributed. Every element is summed in the
/// order of ranks, so neither bucket size nor timing nor sharding changes a bit. Replicas may have
/// worked on different numbers of micro-batches, none included. Of a table that is looked up
/// (Piece::row_elems) only the rows travel that the step's tokens name.
class Reducer {
 public:
  /// `pieces`, `params`, `stages` (stages of this rank, by number), `stream` (whose work is done when a
  /// bucket is) outlive it.
  Reducer(const Pieces& pieces, const Plan& plan, int rank, const model::Params& params,
          const std::map<int, model::Stage*>& stages, const ReduceOptions& options,
          core::Stream& stream);

  /// A new step: nothing has been reported. token_ids(m): [n] i32, those of a micro-batch that begins on
  /// this rank. Collective over the replicas of the first stage.
  void begin(const std::function<core::Tensor(int micro_batch)>& token_ids);
  /// `stage` has added one micro-batch's last contribution to `bucket`. True when that was this rank's last in
  /// this step: nothing here works with the bucket's parameters any more.
  bool bucket_done(int stage, int bucket);
  /// Sends off what `stage` still holds back and waits until its sums are there.
  void finish(int stage);

 private:
  struct Sending {
    const Piece* piece = nullptr;
    std::vector<std::vector<core::Tensor>> cuts;  // of one tensor each unless sharded
    std::vector<comm::Ticket> tickets;
    bool sent = false;
    std::optional<TableRows> rows;  // of a table, and the parcel in which they travel
    std::optional<RowParcel> parcel;
    std::vector<int> micro_batches;  // whose tokens this rank looks up in it
  };
  void look_up(Sending& one, const Plan& plan, int rank);
  void launch(int stage, int bucket);
  void send(Sending& one);
  static bool mine(const Sending& one, int stage);

  ReduceOptions options_;
  core::Stream& stream_;
  std::vector<Sending> sendings_;
  std::vector<int> expected_, reported_;  // per bucket
  std::map<int, std::vector<int>> buckets_of_stage_;
};

}  // namespace rw::pipeline
