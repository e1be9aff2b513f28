// Part of Ropewalk, MIT licence.
#include "pipeline/value_gather.h"

#include <exception>

#include "core/error.h"

namespace rw::pipeline {
namespace {

/// First segment behind those that lie in the piece.
std::size_t segments_up_to(const Piece& piece, const model::Params& params,
                           const std::vector<Segment>& segments) {
  const auto* begin = static_cast<const std::byte*>(piece.values.address());
  std::size_t out = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto* at = static_cast<const std::byte*>(params.all[segments[i].param].value.address());
    if (at >= begin && at < begin + piece.values.bytes()) out = i + 1;
  }
  return out;
}

}  // namespace

ValueGather::ValueGather(const Pieces& pieces, const model::Params& params,
                         const std::vector<Segment>& segments, std::int64_t bucket_bytes)
    : next_(pieces.all().size()) {
  for (const Piece& piece : pieces.all()) {
    Sending& one = sendings_.emplace_back();
    one.piece = &piece;
    one.cuts = cut_by_owner(piece, piece.values, elems_of(bucket_bytes));
    one.needs = segments_up_to(piece, params, segments);
    one.tickets.reserve(one.cuts.size());
  }
}

ValueGather::~ValueGather() {
  if (std::uncaught_exceptions() > 0) return;
  try {
    for (Sending& one : sendings_) {
      for (auto& ticket : one.tickets) ticket.wait();
    }
  } catch (
      const core::Error&) {  // NOLINT(bugprone-empty-catch): nobody reads these values any more
  }
}

void ValueGather::begin() {
  next_ = 0;
  updated(0);
}

void ValueGather::updated(std::size_t count) {
  for (; next_ < sendings_.size() && sendings_[next_].needs <= count; ++next_) {
    Sending& one = sendings_[next_];
    for (auto& parts : one.cuts) one.tickets.push_back(one.piece->group->all_gather_parts(parts));
  }
}

bool ValueGather::wait(int bucket) {
  bool waited = false;
  for (Sending& one : sendings_) {
    if (one.piece->bucket != bucket || one.tickets.empty()) continue;
    for (auto& ticket : one.tickets) ticket.wait();
    one.tickets.clear();
    waited = true;
  }
  return waited;
}

}  // namespace rw::pipeline
