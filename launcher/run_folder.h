// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/handle.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// --resume: never | auto | a step | the path of a checkpoint.
struct Resume {
  enum class Kind : std::uint8_t { kNever, kAuto, kStep, kPath };
  Kind kind = Kind::kNever;
  std::int64_t step = 0;
  std::string path;
};
/// Throws Error{kUsage} when `text` is none of the four.
Resume parse_resume(const std::string& text);

struct LockPolicy {
  using Native = int;
  static int none() { return -1; }
  static void close(int descriptor) noexcept;
};
/// Held by rank 0 for as long as the job lives; the kernel lets go of it when the process dies.
using RunLock = core::Handle<LockPolicy>;

/// Waits up to 20 s for a dying job to let go. Error{kStorage} when another job holds the run, or its
/// folder cannot be written.
RunLock lock_run(const std::string& output_dir);

/// Takes output_dir for this job, on rank 0 before anything is restored: moves an old run aside
/// (`overwrite`) but for the command's `inputs`, refuses to start anew over checkpoints, takes the
/// lock. Otherwise everything in the folder is as it was. Throws Error{kUsage} naming --resume auto
/// and --overwrite, Error{kStorage} when the folder cannot be written or another job holds it. The lock
/// is nobody's (-1) for a resume whose output_dir is not there yet.
struct RunFolderOptions {
  std::string output_dir;
  Resume resume;
  bool overwrite = false;
  std::vector<std::string> inputs;  // small files that the command reads; empty ones do not count
};
struct RunClaim {
  RunLock lock;
  std::vector<std::string> old_requests;  // SAVE, STOP: meant for a job that is gone
};
RunClaim claim_run_folder(const RunFolderOptions& options);

/// What this job is, into its folder: the folders below it, recipe.resolved.yaml and env.json;
/// requests meant for a job that is gone are removed, not those that came since. Once the restore is
/// agreed. Takes the lock where it is nobody's.
void record_run(const std::string& output_dir, const std::string& resolved_recipe,
                const std::string& environment, RunClaim& claim);

/// JSON: version, host, CPU, cores, compiler, ranks, threads per rank.
std::string environment_json(int ranks, int threads_per_rank, const std::string& communicator);

}  // namespace rw::launcher
