// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/options.h"
#include "model/params.h"

namespace rw::model {

struct Evaluation {
  double loss_sum = 0;  // nats, f64
  std::int64_t predicted_tokens = 0;
};

/// Layers [first, second) that a pass goes through, in order; the others are left out.
using LayerRanges = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// Loss of a whole model on one stream of token ids: windows of seq_len + 1 ids that overlap by
/// one, the last one shorter, so that every id after the first is predicted exactly once. Throws
/// Error{kDataMalformed} naming the first id outside the vocabulary or when there are fewer than two.
Evaluation evaluate(const Options& options, const std::shared_ptr<Params>& params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len);

/// The same with layers left out: window w (from 0) goes through `choices[choose(w)]`, embedding and
/// head always.
Evaluation evaluate(const Options& options, const std::shared_ptr<Params>& params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len,
                    const std::vector<LayerRanges>& choices,
                    const std::function<std::size_t(std::int64_t window)>& choose);

}  // namespace rw::model
