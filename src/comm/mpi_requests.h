// Part of Ropewalk, MIT licence.
#pragma once
#include <mpi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace rw::comm {

class MpiIo;

/// A message under way: who hears of its end, and what that should be.
struct MpiMessage {
  MpiIo* owner;
  std::size_t bytes;
  int peer;  // rank of the owner's group
  bool sends;
};

/// All messages that a process has under way. Used by the communication thread only.
class MpiRequests {
 public:
  /// Messages longer than chunk_bytes travel in pieces.
  explicit MpiRequests(std::size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}
  std::size_t chunk_bytes() const { return chunk_bytes_; }
  /// Bytes that this process has sent so far, to itself included. Any thread.
  std::atomic<std::uint64_t>& sent() { return sent_; }

  /// The owner stays until it has heard of the end.
  void add(MPI_Request request, const MpiMessage& message);
  /// Asks MPI about all of them at once and tells the owners of those that ended or failed. True
  /// when there was one. Cost: one or two rounds of MPI's progress, however many there are.
  bool look();
  bool sending() const;
  void cancel_receives();
  const std::vector<MpiMessage>& messages() const { return messages_; }

 private:
  void forget_ended();  // those without an owner

  const std::size_t chunk_bytes_;
  std::atomic<std::uint64_t> sent_{0};
  std::vector<MPI_Request> requests_;  // in the order in which they were begun
  std::vector<MpiMessage> messages_;   // of each
  std::vector<int> ended_;
  std::vector<MPI_Status> statuses_;
};

/// Messages that one step of a call has under way. Used by the communication thread only; stays
/// where it is once it has begun one.
class MpiIo {
 public:
  /// `ranks`: of the job, by rank of the group. `requests` is used by calls, not by the destructor.
  MpiIo(MPI_Comm group, std::vector<int> ranks, MpiRequests& requests)
      : group_(group), ranks_(std::move(ranks)), requests_(&requests) {}
  void send(const void* from, std::size_t bytes, int to, int tag);
  void receive(void* to, std::size_t bytes, int from, int tag);
  /// True when a message ended since the last call. Throws Error{kComm} for one that failed.
  bool progress();
  bool idle() const { return under_way_ == 0; }
  std::string absent() const;  // "rank 2, rank 3": whom the messages wait for, as ranks of the job

  // MpiRequests' side.
  void end(const MpiMessage& message, int code, const MPI_Status& status);
  void drop() { --under_way_; }
  void fail(int code, const char* call);

 private:
  core::Error error_of(int code, const char* call, int peer) const;
  int job_rank(int peer) const { return ranks_[static_cast<std::size_t>(peer)]; }

  MPI_Comm group_;
  std::vector<int> ranks_;
  MpiRequests* requests_;
  int under_way_ = 0;
  bool moved_ = false;  // since progress() was asked
  std::optional<core::Error> error_;
};

}  // namespace rw::comm
