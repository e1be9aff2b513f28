// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "model/params.h"
#include "model/stage.h"
#include "pipeline/layout.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// Sums the gradients of one rank over the replicas of its stages while later backward work goes on:
/// a bucket leaves as soon as its last micro-batch has contributed. Every element is summed in the
/// order of ranks, so neither bucket size nor timing changes a bit. Replicas may have worked on
/// different numbers of micro-batches, none included.
class Reducer {
 public:
  /// Collective over `world` (makes a group per set of replicas). `params`, `stages` (stages of this
  /// rank, by number) outlive it.
  Reducer(const Layout& layout, const Plan& plan, model::Params& params,
          const std::map<int, model::Stage*>& stages, std::int64_t bucket_bytes,
          comm::Communicator& world);

  /// A new step: nothing has been reported.
  void begin();
  /// `stage` has added one micro-batch's last contribution to `bucket`.
  void bucket_done(int stage, int bucket);
  /// Sends off what `stage` still holds back and waits until its sums are there.
  void finish(int stage);

 private:
  /// What travels as one: a bucket, or one parameter of it whose copies live elsewhere too.
  struct Piece {
    int bucket = 0;
    std::vector<int> stages;  // of the whole model, that contribute
    core::Tensor grads;       // flat
    comm::Communicator* group = nullptr;
    std::vector<comm::Ticket> tickets;
    bool sent = false;
  };
  void launch(int stage, int bucket);
  void send(Piece& piece);
  bool mine(const Piece& piece, int stage) const;

  std::int64_t bucket_elems_;
  std::map<std::vector<int>, std::unique_ptr<comm::Communicator>> groups_;  // by stages
  std::vector<Piece> pieces_;
  std::vector<int> expected_, reported_;  // per bucket
  std::map<int, std::vector<int>> buckets_of_stage_;
};

}  // namespace rw::pipeline
