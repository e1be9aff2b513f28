// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "comm/communicator.h"

namespace rw::comm {

/// Rank `rank` of a group of `size` whose other ranks are not there: every call is done at once,
/// moves nothing and leaves tensors and numbers as they were. For dry runs (core/dry_run.h), which
/// ask what one rank of many would need. Has no memory and no thread.
std::unique_ptr<Communicator> make_dry(int rank, int size);

}  // namespace rw::comm
