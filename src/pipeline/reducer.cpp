// Part of Ropewalk, MIT licence.
#include "pipeline/reducer.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace rw::pipeline {
namespace {

/// Micro-batches that `rank` works on at `stage`.
int visits(const Plan& plan, int rank, int stage) {
  int out = 0;
  for (const auto& path : plan.paths) {
    for (const Visit& visit : path) {
      if (visit.rank == rank && visit.stage == stage) ++out;
    }
  }
  return out;
}

const ParamLayout& layout_of(const Layout& layout, const std::string& name) {
  const auto found =
      std::find_if(layout.params.begin(), layout.params.end(),
                   [&](const ParamLayout& param) { return param.spec.name == name; });
  if (found == layout.params.end()) {
    throw core::Error(core::ErrorKind::kBug, "reducer: no parameter " + name);
  }
  return *found;
}

core::Tensor as_row(const core::Tensor& tensor) { return tensor.view({tensor.elems()}); }

}  // namespace

Reducer::Reducer(const Layout& layout, const Plan& plan, model::Params& params,
                 const std::map<int, model::Stage*>& stages, std::int64_t bucket_bytes,
                 comm::Communicator& world)
    : bucket_elems_(std::max<std::int64_t>(1, bucket_bytes / 4)),
      expected_(static_cast<std::size_t>(params.buckets), 0) {
  // One group per set of stages that share parameters, in the same order on every rank. Calls within
  // a group then come in the order of the stage's buckets, whatever else a rank works on.
  std::set<std::vector<int>> made;
  for (const ParamLayout& param : layout.params) {
    if (param.ranks.size() < 2 || !made.insert(param.stages).second) continue;
    auto group = world.subgroup(param.ranks);
    if (group != nullptr) groups_[param.stages] = std::move(group);
  }
  for (const auto& [number, stage] : stages) {
    buckets_of_stage_[number] = stage->buckets();
    for (const int bucket : stage->buckets()) {
      expected_[static_cast<std::size_t>(bucket)] += visits(plan, world.rank(), number);
    }
  }
  for (int bucket = 0; bucket < params.buckets; ++bucket) {
    std::map<std::vector<int>, std::vector<const model::Param*>> by_stages;
    for (const model::Param& param : params.all) {
      if (param.bucket != bucket) continue;
      by_stages[layout_of(layout, param.spec.name).stages].push_back(&param);
    }
    for (const auto& [owners, held] : by_stages) {
      const auto group = groups_.find(owners);
      if (group == groups_.end()) continue;
      // A parameter alone in its bucket goes without the bucket's padding: where it is shared, as a
      // tied embedding is, the other end of the model holds it in a bucket with more in it.
      if (by_stages.size() == 1 && held.size() > 1) {
        const auto& all = params.bucket_grads[static_cast<std::size_t>(bucket)];
        pieces_.push_back({bucket, owners, as_row(all), group->second.get(), {}, false});
        continue;
      }
      for (const model::Param* param : held) {
        pieces_.push_back({bucket, owners, as_row(param->grad), group->second.get(), {}, false});
      }
    }
  }
}

void Reducer::begin() {
  reported_.assign(expected_.size(), 0);
  for (Piece& piece : pieces_) {
    piece.sent = false;
    piece.tickets.clear();
  }
}

bool Reducer::mine(const Piece& piece, int stage) const {
  return std::find(piece.stages.begin(), piece.stages.end(), stage) != piece.stages.end();
}

void Reducer::bucket_done(int stage, int bucket) {
  const auto at = static_cast<std::size_t>(bucket);
  if (++reported_[at] == expected_[at]) launch(stage, bucket);
}

void Reducer::launch(int stage, int bucket) {
  for (Piece& piece : pieces_) {
    if (piece.bucket == bucket && !piece.sent && mine(piece, stage)) send(piece);
  }
}

void Reducer::send(Piece& piece) {
  piece.sent = true;
  for (std::int64_t at = 0; at < piece.grads.elems(); at += bucket_elems_) {
    core::Tensor part = piece.grads.flat(at, std::min(piece.grads.elems(), at + bucket_elems_));
    piece.tickets.push_back(piece.group->all_reduce_sum(part));
  }
}

void Reducer::finish(int stage) {
  for (const int bucket : buckets_of_stage_.at(stage)) {
    const auto at = static_cast<std::size_t>(bucket);
    if (reported_[at] == expected_[at]) launch(stage, bucket);
  }
  for (Piece& piece : pieces_) {
    if (!piece.sent || !mine(piece, stage)) continue;
    for (auto& ticket : piece.tickets) ticket.wait();
    piece.tickets.clear();
  }
}

}  // namespace rw::pipeline
