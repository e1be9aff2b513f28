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
  /// What former versions wrote for some keys of `same` of this very run: equal is the same, too.
  std::map<std::string, std::string> former = {};
  /// A checkpoint that has `saved` under `key` may go on here.
  bool fits(const std::string& key, const std::string& saved) const;
};

/// Saves and restores the state of a method, all ranks together (papers/checkpoint.md §7.8–7.13;
/// here synchronously, straight to the parallel file system). A checkpoint is committed when its
/// manifest is there: written last, after every rank has synced its shard and voted yes. The one
/// before stays until then. Every failure is one that all ranks throw alike.
class Checkpointer {
 public:
  /// `folder`: output_dir/checkpoints; written to by save() and go_on_from() alone. Collective, as
  /// are all calls below. The store outlives it.
  Checkpointer(store::Store& store, std::string folder, const Options& options,
               std::unique_ptr<comm::Communicator> own, RunIdentity identity);

  /// Commits the state right after `step`, in a way that restore() can read: what all checkpoints
  /// share is written again where it is gone. Error{kStorage} when a rank could not write: nothing
  /// of this checkpoint is left, earlier ones are as they were.
  void save(std::int64_t step, core::Method& method);
  /// The newest committed checkpoint whose every byte holds; newer ones that cannot be restored are
  /// passed over with a warning that names each. nullopt: nothing was ever committed. Error{kStorage},
  /// naming each and what is wrong with it, when there are some and none holds. Changes nothing.
  std::optional<std::string> newest();
  /// Makes the checkpoint that was restored, of `step`, the newest here, once the restore is agreed:
  /// what was committed later is left behind for good (quarantine/: no resume takes it, no retention
  /// counts it). One from another folder is committed here first, and all others are left behind.
  void go_on_from(const std::string& step_folder, std::int64_t step, core::Method& method);
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
  StepFolder write(std::int64_t step, core::Method& method);
  void require_restorable(const StepFolder& target);
  bool lies_here(const std::string& step_folder) const;
  std::string problem_of(const std::string& step_folder);
  std::string newest_first();
  std::optional<std::string> written_uuid();
  void write_run();
  void write_shared();
  proto::Manifest start_manifest(const StepFolder& target) const;

  store::Store& store_;
  std::string folder_;
  Options options_;
  std::unique_ptr<comm::Communicator> comm_;
  RunIdentity identity_;
  std::string run_uuid_;
  std::optional<std::string> layout_of_this_rank_;  // serialised; nullopt: not gathered yet
  std::uint64_t layout_hash_ = 0;
  std::string layout_;  // serialised, of all ranks
  double last_save_ms_ = 0;
};

}  // namespace rw::ckpt
