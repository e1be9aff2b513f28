// Part of Ropewalk, MIT licence.
#include "pipeline/reducer.h"

#include <algorithm>

namespace rw::pipeline {

Reducer::Reducer(const Pieces& pieces, const Plan& plan, int rank, const model::Params& params,
                 const std::map<int, model::Stage*>& stages, const ReduceOptions& options,
                 core::Stream& stream)
    : options_(options), stream_(stream), expected_(static_cast<std::size_t>(params.buckets), 0) {
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
    if (piece.row_elems > 0) {
      look_up(one, plan, rank);
      continue;
    }
    one.cuts = options.sharded ? cut_by_owner(piece, piece.grads, elems) : cut(piece.grads, elems);
    one.tickets.reserve(one.cuts.size());
  }
}

void Reducer::look_up(Sending& one, const Plan& plan, int rank) {
  one.rows.emplace(*one.piece, options_.step_tokens);
  one.parcel.emplace(*one.piece);
  for (int m = 0; m < plan.micro_batches(); ++m) {
    const auto& path = plan.paths[static_cast<std::size_t>(m)];
    if (path.front().rank == rank) one.micro_batches.push_back(m);
  }
}

void Reducer::begin(const std::function<core::Tensor(int micro_batch)>& token_ids) {
  reported_.assign(expected_.size(), 0);
  for (Sending& one : sendings_) {
    one.sent = false;
    one.tickets.clear();
    if (!one.rows) continue;
    std::vector<core::Tensor> tokens;
    for (const int m : one.micro_batches) tokens.push_back(token_ids(m));
    one.rows->ask(tokens);
  }
}

bool Reducer::mine(const Sending& one, int stage) {
  const auto& stages = one.piece->stages;
  return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

bool Reducer::bucket_done(int stage, int bucket) {
  const auto at = static_cast<std::size_t>(bucket);
  if (++reported_[at] != expected_[at]) return false;
  launch(stage, bucket);
  return true;
}

void Reducer::launch(int stage, int bucket) {
  for (Sending& one : sendings_) {
    if (one.piece->bucket == bucket && !one.sent && mine(one, stage)) send(one);
  }
}

void Reducer::send(Sending& one) {
  one.sent = true;
  auto& group = *one.piece->group;
  if (one.rows) {
    one.cuts = one.parcel->pack(one.rows->rows(), one.rows->most_rows(), options_.sharded,
                                elems_of(options_.bucket_bytes), stream_);
  }
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
    if (!one.rows) continue;
    one.cuts.clear();  // and with them names of the parcel's memory
    one.parcel->unpack(stream_);
  }
}

}  // namespace rw::pipeline
