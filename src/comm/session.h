// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"

namespace rw::comm {

/// Where launchers write a process' rank, in the order in which they count.
inline constexpr std::array kRankVariables{"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                           "SLURM_PROCID"};

/// What the launcher's environment says of this process, before MPI_Init.
struct LauncherRank {
  int rank, size, local_rank, local_size;
};

/// From OMPI_COMM_WORLD_*, PMIX_RANK, PMI_RANK/PMI_SIZE (MPI_LOCALRANKID, MPI_LOCALNRANKS) or
/// SLURM_PROCID/SLURM_NTASKS (SLURM_LOCALID, SLURM_TASKS_PER_NODE), in this order; nullopt: not
/// under a launcher. Under one with a single process the size is 1. Local numbers that the
/// environment does not give are those of a job on one host. A batch script of Slurm that did not
/// start this process by srun is no launcher. Throws Error{kUsage}, naming the variables, when there is
/// a rank without a size, a rank outside of it, or one of both that is no whole number.
std::optional<LauncherRank> launcher_rank(const std::function<const char*(const char*)>& getenv);

/// As gethostname says.
std::string host_name();

class MpiEngine;

/// MPI from MPI_Init_thread(MULTIPLE) to MPI_Finalize: one object in the life of a process. Throws
/// Error{kComm} when MPI lacks what is needed.
class MpiSession {
 public:
  /// Short: a long message is seen to move by the end of its pieces, and while nothing is seen to
  /// move the naps between two looks grow (MpiPatience).
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
  /// Messages longer than chunk_bytes (at most 2^30) travel in pieces.
  explicit MpiSession(std::size_t chunk_bytes = kChunkBytes);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  /// Collective when all is well: waits for the other ranks to come here (at most 10 min), then
  /// MPI_Finalize. While an exception unwinds, when a call failed or a peer did not come,
  /// MPI_Finalize is left out, as it would wait for ever; the launcher then ends the job.
  ~MpiSession();
  Communicator& world() { return *world_; }
  /// Whether this process has come to MPI_Init: it does so once at most.
  static bool begun();
  /// Bytes of all messages that this process has sent so far (to itself too).
  std::uint64_t bytes_sent() const;

 private:
  int exceptions_;                     // under way when this object was made
  std::shared_ptr<MpiEngine> engine_;  // shared with the communicators
  std::unique_ptr<Communicator> world_;
};

}  // namespace rw::comm
