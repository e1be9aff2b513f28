// Part of Ropewalk, MIT licence.
#include "pipeline/pieces.h"

#include <algorithm>
#include <set>

#include "core/dry_run.h"
#include "core/error.h"

namespace rw::pipeline {
namespace {

constexpr std::int64_t kUnitElems = 16;  // 64 bytes

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

const float* first_of(const core::Tensor& tensor) {
  return static_cast<const float*>(tensor.address());
}

/// Cuts are names of memory that is there anyway: in a dry run nobody asks for them, and a large job
/// has too many to make them in vain.
bool nothing_travels() { return core::DryRun::current() != nullptr; }

/// Where a parameter begins in the piece; -1: not in it. (Gradients lie as values do.)
std::int64_t place_in(const Piece& piece, const model::Param& param) {
  const auto* begin = first_of(piece.values);
  const auto* at = first_of(param.value);
  return at < begin || at >= begin + piece.values.elems() ? -1 : at - begin;
}

}  // namespace

std::pair<std::int64_t, std::int64_t> Piece::owned(int r) const {
  const std::int64_t n = grads.elems();
  const std::int64_t units = (n + kUnitElems - 1) / kUnitElems;
  const std::int64_t ranks = group->size();
  const auto begin = [&](std::int64_t rank) {
    return std::min(n, kUnitElems * (units / ranks * rank + std::min(rank, units % ranks)));
  };
  return {begin(r), begin(r + 1)};
}

Pieces::Pieces(const Layout& layout, const model::Params& params, comm::Communicator& world) {
  // Calls within a group come in the order of the stage's buckets, whatever else a rank works on.
  std::set<std::vector<int>> made;
  for (const ParamLayout& param : layout.params) {
    if (param.ranks.size() < 2 || !made.insert(param.stages).second) continue;
    auto group = world.subgroup(param.ranks);
    if (group != nullptr) groups_[param.stages] = std::move(group);
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
        const auto at = static_cast<std::size_t>(bucket);
        all_.push_back({bucket, owners, params.bucket_grads[at], params.bucket_values[at],
                        group->second.get()});
        continue;
      }
      for (const model::Param* param : held) {
        all_.push_back({bucket, owners, as_row(param->grad), as_row(param->value),
                        group->second.get(), param->spec.looked_up ? param->spec.shape[1] : 0});
      }
    }
  }
}

std::int64_t Pieces::bytes() const {
  std::int64_t sum = 0;
  for (const Piece& piece : all_) sum += static_cast<std::int64_t>(piece.grads.bytes());
  return sum;
}

std::vector<Segment> owned_segments(const Pieces& pieces, const model::Params& params) {
  std::vector<Segment> out;
  for (std::size_t i = 0; i < params.all.size(); ++i) {
    const model::Param& param = params.all[i];
    Segment segment{i, 0, param.grad.elems()};
    for (const Piece& piece : pieces.all()) {
      const std::int64_t place = place_in(piece, param);
      if (place < 0) continue;
      const auto [begin, end] = piece.owned(piece.group->rank());
      segment.begin = std::max<std::int64_t>(0, begin - place);
      segment.end = std::min(param.grad.elems(), end - place);
    }
    if (segment.begin < segment.end) out.push_back(segment);
  }
  return out;
}

std::vector<std::vector<core::Tensor>> cut(const core::Tensor& flat, std::int64_t cut_elems) {
  std::vector<std::vector<core::Tensor>> out;
  if (nothing_travels()) return out;
  for (std::int64_t at = 0; at < flat.elems(); at += cut_elems) {
    out.push_back({flat.flat(at, std::min(flat.elems(), at + cut_elems))});
  }
  return out;
}

std::vector<std::vector<core::Tensor>> cut_by_owner(
    const std::vector<std::pair<std::int64_t, std::int64_t>>& owned, const core::Tensor& flat,
    std::int64_t cut_elems) {
  if (nothing_travels()) return {};
  const std::int64_t each =
      std::max<std::int64_t>(1, cut_elems / static_cast<std::int64_t>(owned.size()));
  std::int64_t most = 0;
  for (const auto& [begin, end] : owned) most = std::max(most, end - begin);
  std::vector<std::vector<core::Tensor>> out;
  for (std::int64_t at = 0; at < most; at += each) {
    auto& parts = out.emplace_back();
    for (const auto& [begin, end] : owned) {
      parts.push_back(flat.flat(std::min(end, begin + at), std::min(end, begin + at + each)));
    }
  }
  return out;
}

std::vector<std::vector<core::Tensor>> cut_by_owner(const Piece& piece, const core::Tensor& flat,
                                                    std::int64_t cut_elems) {
  if (nothing_travels()) return {};
  std::vector<std::pair<std::int64_t, std::int64_t>> owned;
  owned.reserve(static_cast<std::size_t>(piece.group->size()));
  for (int rank = 0; rank < piece.group->size(); ++rank) owned.push_back(piece.owned(rank));
  return cut_by_owner(owned, flat, cut_elems);
}

std::vector<Segment> whole_segments(const model::Params& params) {
  std::vector<Segment> out;
  for (std::size_t i = 0; i < params.all.size(); ++i) {
    out.push_back({i, 0, params.all[i].grad.elems()});
  }
  return out;
}

std::vector<optim::AdamwParam> adamw_params(const model::Params& params,
                                            const std::vector<Segment>& segments) {
  std::vector<optim::AdamwParam> out;
  for (const Segment& segment : segments) {
    const model::Param& param = params.all[segment.param];
    out.push_back({param.spec.name, param.value.flat(segment.begin, segment.end),
                   param.grad.flat(segment.begin, segment.end), param.spec.decays});
  }
  return out;
}

std::int64_t elems_of(std::int64_t bucket_bytes) {
  return std::max<std::int64_t>(1, bucket_bytes / static_cast<std::int64_t>(sizeof(float)));
}

}  // namespace rw::pipeline
