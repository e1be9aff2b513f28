// Part of Ropewalk, MIT licence.
#pragma once
#include <span>
#include <string>

namespace rw::train {

/// Ranks of this job on this host (children of the same launcher) whose processes are stopped:
/// "rank 1 is stopped; rank 3 is stopped", or nothing. `rank_variables`: names in the environment
/// that hold a rank, the first that is there counts.
std::string stopped_ranks(std::span<const char* const> rank_variables);

/// Whether rank 0 of this job runs on this host (as above) and was started as this process was: the
/// same program, arguments, working folder and environment, but for the variables that launchers
/// set. What one of them says before they talk to each other, the other says too. False when that
/// cannot be seen.
bool started_as_rank_zero(std::span<const char* const> rank_variables);

}  // namespace rw::train
