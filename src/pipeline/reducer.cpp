// Part of Ropewalk, MIT licence.
#include "pipeline/reducer.h"

#include <algorithm>

namespace rw::pipeline {
namespace {

std::vector<std::vector<core::Tensor>> cut(const core::Tensor& flat, std::int64_t cut_elems) {
  std::vector<std::vector<core::Tensor>> out;
  for (std::int64_t at = 0; at < flat.elems(); at += cut_elems) {
    out.push_back({flat.flat(at, std::min(flat.elems(), at + cut_elems))});
  }
  return out;
}

}  // namespace

Reducer::Reducer(const Pieces& pieces, const Plan& plan, int rank, const model::Params& params,
                 const std::map<int, model::Stage*>& stages, const ReduceOptions& options)
    : options_(options), expected_(static_cast<std::size_t>(params.buckets), 0) {
  for (const auto& [number, stage] : stages) {
    buckets_of_stage_[number] = stage->buckets();
    for (const int bucket : stage->buckets()) {
      expected_[static_cast<std::size_t>(bucket)] += count_visits(plan, {number, rank});
    }
  }
  const std::int64_t elems = elems_of(options.bucket_bytes);
  for (const Piece& piece : pieces.all()) {
    Sending& one = sendings_.emplace_back();
    one.piece = &piece;
    one.cuts = options.sharded ? cut_by_owner(piece, piece.grads, elems) : cut(piece.grads, elems);
    one.tickets.reserve(one.cuts.size());
  }
}

void Reducer::begin() {
  reported_.assign(expected_.size(), 0);
  for (Sending& one : sendings_) {
    one.sent = false;
    one.tickets.clear();
  }
}

bool Reducer::mine(const Sending& one, int stage) {
  const auto& stages = one.piece->stages;
  return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

void Reducer::bucket_done(int stage, int bucket) {
  const auto at = static_cast<std::size_t>(bucket);
  if (++reported_[at] == expected_[at]) launch(stage, bucket);
}

void Reducer::launch(int stage, int bucket) {
  for (Sending& one : sendings_) {
    if (one.piece->bucket == bucket && !one.sent && mine(one, stage)) send(one);
  }
}

void Reducer::send(Sending& one) {
  one.sent = true;
  auto& group = *one.piece->group;
  for (auto& parts : one.cuts) {
    one.tickets.push_back(options_.sharded ? group.reduce_scatter_sum(parts, options_.wire)
                                           : group.all_reduce_sum(parts.front(), options_.wire));
  }
}

void Reducer::finish(int stage) {
  for (const int bucket : buckets_of_stage_.at(stage)) {
    const auto at = static_cast<std::size_t>(bucket);
    if (reported_[at] == expected_[at]) launch(stage, bucket);
  }
  for (Sending& one : sendings_) {
    if (!one.sent || !mine(one, stage)) continue;
    for (auto& ticket : one.tickets) ticket.wait();
    one.tickets.clear();
  }
}

}  // namespace rw::pipeline
