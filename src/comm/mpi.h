// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "comm/communicator.h"
#include "comm/mpi_engine.h"

namespace rw::comm {

/// This process' view of MPI_COMM_WORLD. Its messages go through `engine`, which lives until the
/// last communicator goes. Collective. A message costs a copy only for device tensors and
/// self-sends; sums need scratch of about what a rank owns of them (mpi_sum.h): every rank is sent
/// its slice of the tensor, adds there in rank order, and the sums are gathered.
std::unique_ptr<Communicator> make_mpi_world(std::shared_ptr<MpiEngine> engine);

}  // namespace rw::comm
