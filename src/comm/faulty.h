// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace rw::comm {

/// What goes wrong, and when.
struct Fault {
  enum class Call : std::uint8_t {
    kAllReduceSum,  // of a tensor or of numbers
    kAllReduceMax,
    kAllGather,
    kBroadcast,
    kBarrier,
    kSend,
    kReceive,
    kGatherText,
    kReduceScatterSum,
    kAllGatherParts,
  };
  enum class Action : std::uint8_t {
    kDrop,  // the call never reaches the others; its Ticket is done at once (gather_text: own text)
    kDelay,  // the call is made `seconds` later, by the calling thread
    kFail,   // the call throws Error{kComm}
    kAbort,  // the job ends with exit code 71, then the call throws Error{kRankLost}
  };
  Call call = Call::kSend;
  std::int64_t first = 0;  // call number `first` of this kind, from 0
  std::int64_t count = 1;  // and those after it, this many in all; < 0: all
  Action action = Action::kFail;
  double seconds = 0;  // kDelay
};

/// `inner` with faults on cue, for tests of what others make of them. Where two faults fit one call,
/// the first does. Children made by subgroup() and duplicate() have none.
std::unique_ptr<Communicator> make_faulty(std::unique_ptr<Communicator> inner,
                                          std::vector<Fault> faults);

}  // namespace rw::comm
