// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "model/options.h"
#include "model/params.h"

namespace rw::model {

struct Evaluation {
  double loss_sum = 0;  // nats, f64
  std::int64_t predicted_tokens = 0;
};

/// Loss of a whole model on one stream of token ids: windows of seq_len + 1 ids that overlap by
/// one, the last one shorter, so that every id after the first is predicted exactly once. Throws
/// Error{kDataMalformed} naming the first id outside the vocabulary or when there are fewer than two.
Evaluation evaluate(const Options& options, std::shared_ptr<Params> params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len);

}  // namespace rw::model
