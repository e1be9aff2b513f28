// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/folder.h"
#include "ckpt/state.h"
#include "store/store.h"

namespace rw::ckpt {

/// The folder of one checkpoint from what a user gives: that folder itself, a `checkpoints` folder
/// or an output_dir (the newest committed one there). Error{kDataMissing} when there is none.
std::string resolve_checkpoint(store::Store& store, const std::string& path);

/// One committed checkpoint, read-only, without a job. The store outlives it. Not thread-safe.
class CheckpointReader {
 public:
  /// `path` as in resolve_checkpoint. Error{kDataMalformed} when manifest or layout are damaged.
  CheckpointReader(store::Store& store, const std::string& path);
  std::int64_t step() const { return static_cast<std::int64_t>(manifest_.step()); }
  const std::string& folder() const { return folder_; }
  const proto::Manifest& manifest() const { return manifest_; }
  std::string recipe() const { return manifest_.global().recipe(); }
  /// Sorted; a tensor that was written in ranges is there once for each.
  const std::vector<TensorPlace>& tensors() const { return index_.all(); }
  /// A tensor on the host; every byte's CRC is checked. Error{kDataMissing} when it is not there.
  core::Tensor tensor(const std::string& name, const std::string& kind) const;
  /// The same into memory of the caller, of the same dtype, on any device: all of it, or the range
  /// that `what` names, whichever ranges it was written in. Error{kRecipe} on another shape or dtype,
  /// Error{kDataMissing} when not every element is there.
  void read(const core::StateTensor& what, core::Tensor& out) const;
  /// The small state that a rank wrote.
  const proto::RankMeta& meta(std::uint32_t rank) const { return shard(rank).footer().meta(); }
  /// Reads and checks every byte of every file. Error{kDataMalformed} names the first that fails.
  void verify() const;

 private:
  const ShardReader& shard(std::uint32_t rank) const;
  std::span<const TensorPlace> places(const std::string& name, const std::string& kind) const;

  store::Store& store_;
  std::string folder_;
  proto::Manifest manifest_;
  TensorIndex index_;
  mutable std::map<std::uint32_t, std::unique_ptr<ShardReader>> shards_;  // opened so far
};

}  // namespace rw::ckpt
