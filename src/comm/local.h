// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "comm/communicator.h"

namespace rw::comm {

/// A group of one rank, without a thread of its own: collectives leave the numbers as they are,
/// messages to itself are matched by tag in call order. After abort() every call throws
/// Error{kRankLost}.
std::unique_ptr<Communicator> make_local();

}  // namespace rw::comm
