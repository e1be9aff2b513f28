// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "model/params.h"
#include "pipeline/pieces.h"

namespace rw::pipeline {

/// Brings the values that each rank has updated to the other replicas (ZeRO-1). They travel in the
/// order of the model while the rest is updated and while the next step begins: whoever reads a
/// bucket's values waits for that bucket.
class ValueGather {
 public:
  /// `pieces` outlives it; `segments`: those of this rank, in the order of their updates.
  /// `bucket_bytes` > 0: largest message.
  ValueGather(const Pieces& pieces, const model::Params& params,
              const std::vector<Segment>& segments, std::int64_t bucket_bytes);
  ValueGather(const ValueGather&) = delete;
  ValueGather& operator=(const ValueGather&) = delete;
  /// Waits for what is under way, unless an exception is: then other ranks may never answer.
  ~ValueGather();
  /// A new update, after all buckets have been waited for: no segment has its new values yet.
  void begin();
  /// Segments before `count` have their new values: pieces that are complete leave.
  void updated(std::size_t count);
  /// Returns once the values of `bucket` are those that their owners updated last, and may be
  /// overwritten. True for the first call after an update, when other ranks own some of them.
  bool wait(int bucket);

 private:
  struct Sending {
    const Piece* piece = nullptr;
    std::vector<std::vector<core::Tensor>> cuts;
    std::size_t needs = 0;  // segments
    std::vector<comm::Ticket> tickets;
  };
  std::vector<Sending> sendings_;
  std::size_t next_ = 0;
};

}  // namespace rw::pipeline
