// Part of Ropewalk, MIT licence.
#include "comm/session.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <array>
#include <exception>

#include "comm/mpi.h"
#include "comm/mpi_engine.h"
#include "core/error.h"

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;

void start_mpi() {
  if (MpiSession::begun())
    throw Error(ErrorKind::kBug, "MpiSession: got a second one in this process");
  int level = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level) != MPI_SUCCESS) {
    throw Error(ErrorKind::kComm, "MPI_Init_thread failed");
  }
  if (level < MPI_THREAD_MULTIPLE) {
    throw Error(ErrorKind::kComm,
                fmt::format("MPI gives thread level {}, want MPI_THREAD_MULTIPLE ({}); try an MPI "
                            "built with threads",
                            level, MPI_THREAD_MULTIPLE));
  }
  constexpr int kTags = 1 << 21;
  int found = 0;
  int* last_tag = nullptr;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&last_tag), &found);
  if (found == 0 || *last_tag < kTags - 1) {
    throw Error(ErrorKind::kComm, fmt::format("MPI has tags up to {}, want {}; try Open MPI with "
                                              "OMPI_MCA_pml=ob1",
                                              found == 0 ? 0 : *last_tag, kTags - 1));
  }
}

}  // namespace

MpiSession::MpiSession(std::size_t chunk_bytes) : exceptions_(std::uncaught_exceptions()) {
  constexpr std::size_t kMostChunkBytes = std::size_t{1} << 30;  // MPI counts in int
  if (chunk_bytes == 0 || chunk_bytes > kMostChunkBytes) {
    throw Error(ErrorKind::kBug, fmt::format("MpiSession: got chunks of {} bytes, want 1 .. {}",
                                             chunk_bytes, kMostChunkBytes));
  }
  start_mpi();
  engine_ = std::make_shared<MpiEngine>(chunk_bytes);
  world_ = make_mpi_world(engine_);
}

MpiSession::~MpiSession() {
  constexpr double kFarewellSeconds = 600;
  constexpr double kDrainSeconds = 1;
  bool well = std::uncaught_exceptions() <= exceptions_;
  try {
    if (well) {
      world_->set_peer_timeout(kFarewellSeconds);
      world_->barrier().wait();
    }
  } catch (const Error&) {
    well = false;  // a peer is gone or stuck: its cause was said where it came up
  }
  const bool clean = engine_->stop(well ? kDrainSeconds : 0);
  if (well && clean) MPI_Finalize();
}

bool MpiSession::begun() {
  int begun = 0;
  MPI_Initialized(&begun);
  return begun != 0;
}

std::uint64_t MpiSession::bytes_sent() const { return engine_->requests().sent().load(); }

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

}  // namespace rw::comm
