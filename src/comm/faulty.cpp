// Part of Ropewalk, MIT licence.
#include "comm/faulty.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <thread>

#include "core/error.h"

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;
using core::Tensor;

constexpr int kExitRankLost = 71;
constexpr std::array<const char*, 10> kNames{
    "all_reduce_sum", "all_reduce_max", "all_gather",  "broadcast",          "barrier",
    "send",           "receive",        "gather_text", "reduce_scatter_sum", "all_gather_parts"};

class FaultyCommunicator : public Communicator {
 public:
  FaultyCommunicator(std::unique_ptr<Communicator> inner, std::vector<Fault> faults)
      : inner_(std::move(inner)), faults_(std::move(faults)) {}
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  Ticket all_reduce_sum(Tensor& tensor, Wire wire) override {
    return lost(Fault::Call::kAllReduceSum) ? Ticket() : inner_->all_reduce_sum(tensor, wire);
  }
  Ticket reduce_scatter_sum(std::span<Tensor> parts, Wire wire) override {
    return lost(Fault::Call::kReduceScatterSum) ? Ticket()
                                                : inner_->reduce_scatter_sum(parts, wire);
  }
  Ticket all_gather_parts(std::span<Tensor> parts) override {
    return lost(Fault::Call::kAllGatherParts) ? Ticket() : inner_->all_gather_parts(parts);
  }
  Ticket all_reduce_sum(std::span<double> numbers) override {
    return lost(Fault::Call::kAllReduceSum) ? Ticket() : inner_->all_reduce_sum(numbers);
  }
  Ticket all_reduce_max(std::span<std::uint64_t> numbers) override {
    return lost(Fault::Call::kAllReduceMax) ? Ticket() : inner_->all_reduce_max(numbers);
  }
  Ticket all_gather(const Tensor& mine, Tensor& all) override {
    return lost(Fault::Call::kAllGather) ? Ticket() : inner_->all_gather(mine, all);
  }
  Ticket broadcast(Tensor& tensor, int root) override {
    return lost(Fault::Call::kBroadcast) ? Ticket() : inner_->broadcast(tensor, root);
  }
  Ticket barrier() override { return lost(Fault::Call::kBarrier) ? Ticket() : inner_->barrier(); }
  Ticket send(const Tensor& tensor, int to, int tag) override {
    return lost(Fault::Call::kSend) ? Ticket() : inner_->send(tensor, to, tag);
  }
  Ticket receive(Tensor& tensor, int from, int tag) override {
    return lost(Fault::Call::kReceive) ? Ticket() : inner_->receive(tensor, from, tag);
  }
  std::uint64_t events() const override { return inner_->events(); }
  void wait_event(std::uint64_t seen, double seconds) override {
    inner_->wait_event(seen, seconds);
  }
  std::vector<std::string> gather_text(const std::string& mine) override {
    if (!lost(Fault::Call::kGatherText)) return inner_->gather_text(mine);
    std::vector<std::string> all(static_cast<std::size_t>(size()));
    all[static_cast<std::size_t>(rank())] = mine;
    return all;
  }
  std::unique_ptr<Communicator> subgroup(std::span<const int> members) override {
    return inner_->subgroup(members);
  }
  std::unique_ptr<Communicator> duplicate() override { return inner_->duplicate(); }
  void abort(int exit_code) override { inner_->abort(exit_code); }
  void set_peer_timeout(double seconds) override { inner_->set_peer_timeout(seconds); }

 private:
  /// Does what is due for the next call of this kind. True: leave the call out.
  bool lost(Fault::Call call) {
    const auto kind = static_cast<std::size_t>(call);
    const std::int64_t number = calls_[kind]++;
    for (const auto& fault : faults_) {
      const bool due = fault.call == call && number >= fault.first &&
                       (fault.count < 0 || number < fault.first + fault.count);
      if (due) return act(fault, fmt::format("{} number {} on cue", kNames[kind], number));
    }
    return false;
  }
  bool act(const Fault& fault, const std::string& what) {
    switch (fault.action) {
      case Fault::Action::kDrop:
        return true;
      case Fault::Action::kDelay:
        std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
        return false;
      case Fault::Action::kFail:
        throw Error(ErrorKind::kComm, what + " failed");
      case Fault::Action::kAbort:
        inner_->abort(kExitRankLost);
        throw Error(ErrorKind::kRankLost, what + " ended the job");
    }
    return false;
  }

  std::unique_ptr<Communicator> inner_;
  std::vector<Fault> faults_;
  std::array<std::int64_t, kNames.size()> calls_{};  // so far, by kind; from one thread
};

}  // namespace

std::unique_ptr<Communicator> make_faulty(std::unique_ptr<Communicator> inner,
                                          std::vector<Fault> faults) {
  return std::make_unique<FaultyCommunicator>(std::move(inner), std::move(faults));
}

}  // namespace rw::comm
