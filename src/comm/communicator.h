// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/wire.h"
#include "core/tensor.h"

namespace rw::comm {

/// A communication that is under way: owned by the caller, finished when wait() returned or done()
/// said true. Letting go of an unfinished Ticket is allowed; the tensor must still live until it is
/// done.
class Ticket {
 public:
  class State {
   public:
    virtual ~State() = default;
    virtual bool done() = 0;  // throws what wait() would throw
    virtual void wait() = 0;
  };
  Ticket() = default;  // done already
  explicit Ticket(std::shared_ptr<State> state)
      : state_(std::move(state)) {}  // shared with the communication thread
  bool done() { return state_ == nullptr || state_->done(); }
  /// Throws Error{kComm} when the message failed, Error{kHang} naming the peer when it stayed
  /// silent too long.
  void wait() {
    if (state_ != nullptr) state_->wait();
  }

 private:
  std::shared_ptr<State> state_;
};

/// One rank's view of a group of ranks: the only way the project talks between processes.
/// Collectives: every rank of the group makes the same calls in the same order, from one thread.
/// Point-to-point calls may be interleaved with them freely: a message is matched by (from, to,
/// tag) in the order of the calls. All calls only queue work and return; one communication thread
/// per rank moves the bytes while the caller computes. Tensors (contiguous, host or device) stay
/// the caller's; leave them alone until the Ticket is done: from then on nobody else holds them.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;  // 0 .. size() - 1 within this group
  virtual int size() const = 0;  // >= 1

  /// Adds f32 `tensor` up over all ranks, in place. Every element is the sum rank 0 + rank 1 + … in
  /// this order: neither the cut into buckets nor the backend changes a bit; with one rank the tensor
  /// stays as it was. traffic: about 2 · elements of `wire` sent per rank.
  [[nodiscard]] virtual Ticket all_reduce_sum(core::Tensor& tensor, Wire wire) = 0;
  [[nodiscard]] Ticket all_reduce_sum(core::Tensor& tensor) {
    return all_reduce_sum(tensor, Wire::kF32);
  }
  /// The first half of all_reduce_sum: parts[rank()] becomes its sum over all ranks, to the same
  /// bits; the other parts stay as they were. parts: size() f32 tensors; parts[r] has the same number
  /// of elements (0 too) on every rank. traffic: the elements of the other ranks' parts.
  [[nodiscard]] virtual Ticket reduce_scatter_sum(std::span<core::Tensor> parts, Wire wire) = 0;
  /// The second half: rank r's parts[r] overwrites everybody's parts[r]. Any one dtype. Between
  /// processes, of many under way those called first are done first: few share the network at a time.
  [[nodiscard]] virtual Ticket all_gather_parts(std::span<core::Tensor> parts) = 0;
  /// The same for f64 and u64 numbers on the host; max for control words. n is small (at most 64
  /// Ki).
  [[nodiscard]] virtual Ticket all_reduce_sum(std::span<double> numbers) = 0;
  [[nodiscard]] virtual Ticket all_reduce_max(std::span<std::uint64_t> numbers) = 0;
  /// `all` holds size() equal parts, rank order; part r is rank r's `mine`. bytes(all) = size() ·
  /// bytes(mine).
  [[nodiscard]] virtual Ticket all_gather(const core::Tensor& mine, core::Tensor& all) = 0;
  [[nodiscard]] virtual Ticket broadcast(core::Tensor& tensor, int root) = 0;
  [[nodiscard]] virtual Ticket barrier() = 0;

  /// Point to point; 0 <= tag < 2^20, self-sends allowed. A send is done when the tensor may be
  /// reused.
  [[nodiscard]] virtual Ticket send(const core::Tensor& tensor, int to, int tag) = 0;
  [[nodiscard]] virtual Ticket receive(core::Tensor& tensor, int from, int tag) = 0;

  /// How many calls have ended or failed so far, as this object's rank can see: a number that only
  /// grows. With wait_event one waits for any of several tickets: take events(), ask each ticket's
  /// done(), and wait for what comes after. Any thread.
  virtual std::uint64_t events() const = 0;
  /// Returns once events() is past `seen`, or `seconds` have gone; < 0: for as long as it takes.
  /// May return early. Calls that fail count too: done() then throws.
  virtual void wait_event(std::uint64_t seen, double seconds) = 0;

  /// Variable-length messages between hosts (manifests, votes, complaints): every rank's bytes,
  /// rank order, on every rank. Waits.
  virtual std::vector<std::string> gather_text(const std::string& mine) = 0;

  /// A group of some of this group's ranks, given as ranks of this group in the order of their new
  /// numbers. Called by all ranks of this group alike; a rank that is not in `members` gets
  /// nullptr. The child lives no longer than the session.
  virtual std::unique_ptr<Communicator> subgroup(std::span<const int> members) = 0;

  /// Same ranks, messages of its own: for checkpoints, watchdog, control. Collective.
  virtual std::unique_ptr<Communicator> duplicate() = 0;

  /// Ends the whole job at once with this exit code: no peer waits for ever. For `threads`: fails
  /// all pending and later calls of every rank with Error{kRankLost}. Does not return for `mpi`.
  virtual void abort(int exit_code) = 0;

  /// How long a wait may last before Error{kHang}; <= 0: for ever (default). Applies to later waits
  /// of this object.
  virtual void set_peer_timeout(double seconds) = 0;
};

}  // namespace rw::comm
