// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "model/params.h"
#include "optim/adamw.h"
#include "pipeline/layout.h"

namespace rw::pipeline {

/// Parameters whose gradients travel together because the same ranks hold them: a whole bucket, or one
/// parameter of it whose copies live elsewhere too (a tied embedding).
struct Piece {
  int bucket = 0;
  std::vector<int> stages;  // of the whole model, that contribute
  core::Tensor grads;       // [n] f32
  core::Tensor values;      // [n], the same places
  comm::Communicator* group = nullptr;
  std::int64_t row_elems =
      0;  // of a table with gradients only where a step looks it up; 0: no such table
  /// Elements [first, second) that rank r of the group owns when the optimizer is sharded: an equal
  /// share, in steps of 16.
  std::pair<std::int64_t, std::int64_t> owned(int r) const;
};

/// Everything of one rank that has copies on other ranks, and the groups of those ranks.
class Pieces {
 public:
  /// Collective over `world`: makes a group per set of stages that share parameters, in the same
  /// order on every rank. `params` outlives it.
  Pieces(const Layout& layout, const model::Params& params, comm::Communicator& world);
  /// In the order of buckets: the same within a group on all its ranks.
  const std::vector<Piece>& all() const { return all_; }
  /// Bytes of all gradients in f32.
  std::int64_t bytes() const;

 private:
  std::map<std::vector<int>, std::unique_ptr<comm::Communicator>> groups_;  // by stages
  std::vector<Piece> all_;
};

/// Elements [begin, end) of a parameter, row-major, that this rank updates.
struct Segment {
  std::size_t param = 0;  // of Params::all
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t elems() const { return end - begin; }
};

/// What this rank owns of its parameters: all of those that no other rank holds, and its share of the
/// rest. In the order of Params::all, at most one per parameter, none of them empty. Over all ranks
/// that hold a parameter, its segments cover it once.
std::vector<Segment> owned_segments(const Pieces& pieces, const model::Params& params);
/// Every parameter that this rank holds, whole.
std::vector<Segment> whole_segments(const model::Params& params);

/// What the optimizer updates, segment by segment.
std::vector<optim::AdamwParam> adamw_params(const model::Params& params,
                                            const std::vector<Segment>& segments);

/// Elements of f32 in a message of at most `bucket_bytes`; at least one.
std::int64_t elems_of(std::int64_t bucket_bytes);

/// `flat` [n] in cuts of at most `cut_elems`, one tensor each.
std::vector<std::vector<core::Tensor>> cut(const core::Tensor& flat, std::int64_t cut_elems);
/// `flat` [n] in cuts of about `cut_elems`: per cut one part for each rank, all of them inside the elements
/// [first, second) that this rank owns.
std::vector<std::vector<core::Tensor>> cut_by_owner(
    const std::vector<std::pair<std::int64_t, std::int64_t>>& owned, const core::Tensor& flat,
    std::int64_t cut_elems);
/// A piece's gradients or values, by Piece::owned.
std::vector<std::vector<core::Tensor>> cut_by_owner(const Piece& piece, const core::Tensor& flat,
                                                    std::int64_t cut_elems);

}  // namespace rw::pipeline
