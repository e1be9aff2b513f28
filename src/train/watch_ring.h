// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "train/options.h"

namespace rw::train {

/// The heartbeats of one rank: what it tells the next ranks of the ring and hears from those before
/// it. Belongs to one thread. Time comes from the caller. All calls may throw what the communicator
/// throws.
class WatchRing {
 public:
  static constexpr int kNeighbours = 3;  // on each side, fewer in a small group
  WatchRing(comm::Communicator& own, const WatchdogOptions& options);
  /// Seconds between heartbeats.
  double interval() const { return interval_; }
  /// Sends and hears; `seconds` passed since the last call. `calls`: of progress() so far.
  void tick(double seconds, std::int64_t step, std::int64_t calls);
  /// Why the job stands still, when it does.
  std::optional<std::string> complaint() const;
  /// Says goodbye. True once all neighbours have heard it and said theirs; call it again till then.
  bool farewell();

 private:
  struct Person {  // a rank as it is seen from here
    int rank = 0;
    std::int64_t step = -1;
    std::int64_t calls = 0;
    double silent_s = 0;
    double still_s = 0;  // since calls changed
    bool gone = false;
  };
  struct Ear {
    Person person;
    core::Tensor beat;
    comm::Ticket ticket;
  };
  struct Mouth {
    int rank = 0;
    core::Tensor beat;
    comm::Ticket ticket;
    bool said_goodbye = false;
  };
  using Beat = std::array<std::int64_t, 3>;  // step, calls, 1: goodbye
  void hear(double seconds);
  void tell(bool goodbye);
  void begin_anew();
  double still_limit() const;
  double silent_limit() const;
  std::string silent_ranks() const;
  std::string still_ranks() const;

  comm::Communicator& own_;
  WatchdogOptions options_;
  double interval_;
  Person self_;
  std::vector<Ear> ears_;
  std::vector<Mouth> mouths_;
};

}  // namespace rw::train
