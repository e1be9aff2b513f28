// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "model/options.h"

namespace rw::model {

inline constexpr const char* kFlopsFormula =
    "6*(matmul parameters) + 6*layers*heads*head_dim*(seq_len+1) per token";

/// Floating-point operations of forward and backward per token of a training step: 2 for each
/// weight of a matrix product in forward and 4 in backward (the embedding is a lookup and counts
/// nothing, the head counts, tied or not), and causal attention over the lower triangle only,
/// (T + 1) / 2 keys per query on average. Recomputation is not counted.
double flops_per_token(const Options& options, std::int64_t seq_len);

}  // namespace rw::model
