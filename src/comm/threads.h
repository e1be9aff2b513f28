// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>

#include "comm/communicator.h"

namespace rw::comm {

/// Runs body(world) on `ranks` threads, one rank each, and returns when all have ended. When a body
/// throws, all pending and later calls of the others fail with Error{kRankLost}; the first cause is
/// thrown here after all have ended. No rank may keep its `world` longer than its body.
void run_threads(int ranks, const std::function<void(Communicator& world)>& body);

}  // namespace rw::comm
