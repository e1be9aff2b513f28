// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <stdexcept>
#include <utility>
#include <vector>

namespace rw::bench {

/// What a switch with delays decides, without any device: where an Ethernet frame goes and when. It
/// learns which port an address lives at; frames to many, or to an address not seen yet, go to all other
/// ports. Frames from one port to another keep their order.
class FrameSwitch {
 public:
  struct Frame {
    std::size_t port = 0;  // where it leaves
    std::vector<std::uint8_t> bytes;
  };
  /// delay_s [from][to], square. `most`: frames on their way to one port; further ones are dropped.
  explicit FrameSwitch(const std::vector<std::vector<double>>& delay_s, std::size_t most = 16384)
      : most_(most), waiting_(delay_s.size(), 0) {
    for (const auto& row : delay_s) {
      if (row.size() != delay_s.size()) throw std::runtime_error("delay_s: want a square table");
      auto& out = delay_ns_.emplace_back();
      for (const double s : row) out.push_back(static_cast<std::int64_t>(s * 1e9));
    }
  }

  void arrived(std::size_t from, std::vector<std::uint8_t> bytes, std::int64_t now_ns) {
    if (bytes.size() < kHeader) return;
    const Address to = address(bytes, 0);
    const Address sender = address(bytes, kAddress);
    constexpr std::uint8_t kMany = 1;  // the bit of addresses that stand for several
    if ((sender[0] & kMany) == 0) port_of_[sender] = from;
    const auto known = port_of_.find(to);
    if ((to[0] & kMany) == 0 && known != port_of_.end()) {
      if (known->second != from) queue(from, known->second, std::move(bytes), now_ns);
      return;
    }
    for (std::size_t port = 0; port < delay_ns_.size(); ++port) {
      if (port != from) queue(from, port, bytes, now_ns);
    }
  }
  /// When the next frame leaves; nullopt: none is on its way.
  std::optional<std::int64_t> due_ns() const {
    return queue_.empty() ? std::nullopt : std::optional(queue_.top().due_ns);
  }
  /// A frame that is due.
  std::optional<Frame> next(std::int64_t now_ns) {
    if (queue_.empty() || queue_.top().due_ns > now_ns) return std::nullopt;
    Frame out = queue_.top().frame;
    queue_.pop();
    --waiting_[out.port];
    return out;
  }
  std::int64_t dropped() const { return dropped_; }

 private:
  static constexpr std::size_t kAddress = 6;
  static constexpr std::size_t kHeader = 14;
  using Address = std::array<std::uint8_t, kAddress>;
  struct Waiting {
    std::int64_t due_ns = 0;
    std::int64_t number = 0;  // in the order in which frames came
    Frame frame;
    bool operator<(const Waiting& other) const {  // the top of a queue is the largest
      return std::pair(due_ns, number) > std::pair(other.due_ns, other.number);
    }
  };

  static Address address(const std::vector<std::uint8_t>& bytes, std::size_t begin) {
    Address out{};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), kAddress, out.begin());
    return out;
  }
  void queue(std::size_t from, std::size_t to, std::vector<std::uint8_t> bytes,
             std::int64_t now_ns) {
    if (waiting_[to] >= most_) {
      ++dropped_;
      return;
    }
    ++waiting_[to];
    queue_.push({now_ns + delay_ns_[from][to], number_++, {to, std::move(bytes)}});
  }

  std::size_t most_;
  std::vector<std::vector<std::int64_t>> delay_ns_;
  std::vector<std::size_t> waiting_;  // per port, frames on their way to it
  std::map<Address, std::size_t> port_of_;
  std::priority_queue<Waiting> queue_;
  std::int64_t number_ = 0;
  std::int64_t dropped_ = 0;
};

}  // namespace rw::bench
