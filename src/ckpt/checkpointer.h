// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ckpt/folder.h"
#include "ckpt/options.h"
#include "comm/communicator.h"
#include "core/method.h"
#include "store/store.h"

namespace rw::ckpt {

/// What a checkpoint says about the run that wrote it.
struct RunIdentity {
  /// Must be equal on restore: {"model": canonical text, "parallel.pp": "2", …}. A refusal names the
  /// first that differs, with both values.
  std::map<std::string, std::string> same;
  std::string recipe;  // resolved
  std::uint32_t dp = 1, pp = 1;
};

/// Saves and restores the state of a method, all ranks together (papers/checkpoint.md §7.8–7.13;
/// here synchronously, straight to the parallel file system). A checkpoint is committed when its
/// manifest is there: written last, after every rank has synced its shard and voted yes. The one
/// before stays until then. Every failure is one that all ranks throw alike.
class Checkpointer {
 public:
  /// `folder`: output_dir/checkpoints. Collective, as are all calls below. The store outlives it.
  Checkpointer(store::Store& store, std::string folder, const Options& options,
               std::unique_ptr<comm::Communicator> own, RunIdentity identity);

  /// Commits the state right after `step`. Error{kStorage} when a rank could not write: nothing of
  /// this checkpoint is left, earlier ones are as they were.
  void save(std::int64_t step, core::Method& method);
  /// The newest committed checkpoint whose every byte holds; damaged ones are passed over with a
  /// warning. nullopt when there is none.
  std::optional<std::string> newest();
  /// The folder of the checkpoint of `step`. Error{kDataMissing} lists those that are there.
  std::string find(std::int64_t step);
  /// Loads the state from the folder of one checkpoint and returns its step. CRCs are checked as
  /// bytes are read; Error{kDataMalformed} when they fail, Error{kRecipe} when it belongs to
  /// another model, data or layout.
  std::int64_t restore(const std::string& step_folder, core::Method& method);
  double last_save_ms() const { return last_save_ms_; }

 private:
  struct Snapshot;
  /// Runs `body` on every rank; when it fails on some, throws the lowest such rank's error on all.
  void together(const std::function<void()>& body);
  /// Rank 0's text on every rank.
  std::string from_first(const std::string& text);
  void make_layout(const Snapshot& snapshot);
  StepFolder begin(std::int64_t step);
  void commit(const StepFolder& target, const proto::Manifest& manifest);
  void retain(const StepFolder& newest);
  void remove(const StepFolder& step);
  void set_aside(const StepFolder& step);
  void write_run();
  proto::Manifest start_manifest(const StepFolder& target) const;

  store::Store& store_;
  std::string folder_;
  Options options_;
  std::unique_ptr<comm::Communicator> comm_;
  RunIdentity identity_;
  std::string run_uuid_;
  std::optional<std::string> layout_of_this_rank_;  // serialised; nullopt: not gathered yet
  std::uint64_t layout_hash_ = 0;
  double last_save_ms_ = 0;
};

}  // namespace rw::ckpt
