// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace rw::pipeline::test {

/// Hands every call on to `inner`, which outlives it: for tests that watch or change some of them.
class Forwarding : public comm::Communicator {
 public:
  explicit Forwarding(comm::Communicator& inner) : inner_(inner) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  using Communicator::all_reduce_sum;
  comm::Ticket all_reduce_sum(core::Tensor& t, comm::Wire wire) override {
    return inner_.all_reduce_sum(t, wire);
  }
  comm::Ticket reduce_scatter_sum(std::span<core::Tensor> parts, comm::Wire wire) override {
    return inner_.reduce_scatter_sum(parts, wire);
  }
  comm::Ticket all_gather_parts(std::span<core::Tensor> parts) override {
    return inner_.all_gather_parts(parts);
  }
  comm::Ticket all_reduce_sum(std::span<double> numbers) override {
    return inner_.all_reduce_sum(numbers);
  }
  comm::Ticket all_reduce_max(std::span<std::uint64_t> numbers) override {
    return inner_.all_reduce_max(numbers);
  }
  comm::Ticket all_gather(const core::Tensor& mine, core::Tensor& all) override {
    return inner_.all_gather(mine, all);
  }
  comm::Ticket broadcast(core::Tensor& t, int root) override { return inner_.broadcast(t, root); }
  comm::Ticket barrier() override { return inner_.barrier(); }
  comm::Ticket send(const core::Tensor& t, int to, int tag) override {
    return inner_.send(t, to, tag);
  }
  comm::Ticket receive(core::Tensor& t, int from, int tag) override {
    return inner_.receive(t, from, tag);
  }
  std::uint64_t events() const override { return inner_.events(); }
  void wait_event(std::uint64_t seen, double seconds) override { inner_.wait_event(seen, seconds); }
  std::vector<std::string> gather_text(const std::string& mine) override {
    return inner_.gather_text(mine);
  }
  std::unique_ptr<comm::Communicator> subgroup(std::span<const int> members) override {
    return inner_.subgroup(members);
  }
  std::unique_ptr<comm::Communicator> duplicate() override { return inner_.duplicate(); }
  void abort(int exit_code) override { inner_.abort(exit_code); }
  void set_peer_timeout(double seconds) override { inner_.set_peer_timeout(seconds); }

 private:
  comm::Communicator& inner_;
};

}  // namespace rw::pipeline::test
