// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "comm/communicator.h"
#include "launcher/run_folder.h"

namespace rw::launcher {

/// Throws AgreedFailure (2) on all ranks, with those that do not see what rank 0 writes to its
/// output_dir: checkpoints are put together from the files of all of them. `lock`: rank 0's, held.
/// Collective.
void require_shared_folder(comm::Communicator& world, const std::string& output_dir,
                           const RunLock& lock);

}  // namespace rw::launcher
