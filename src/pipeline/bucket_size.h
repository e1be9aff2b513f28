// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "comm/communicator.h"
#include "pipeline/pieces.h"

namespace rw::pipeline {

/// What a sum over replicas takes: latency_s + bytes · seconds_per_byte (bytes of f32).
struct LinkCost {
  double latency_s = 0;
  double seconds_per_byte = 0;
};

/// Times all_reduce_sum within `group`: medians of some small and some larger tensors, of at most
/// `most_bytes`; below 0.1 s on a link of 1 Gbit/s. Collective over the group; ranks may differ in
/// what they measured.
LinkCost measure_link(comm::Communicator& group, comm::Wire wire, std::int64_t most_bytes);

/// The bucket size that keeps the sum of what messages cost (gradient_bytes / size · latency) and of
/// what is left when the last gradient is done (size · seconds per byte) least:
/// sqrt(gradient_bytes · latency / seconds per byte), held to 64 KiB .. 64 MiB, in steps of 64 KiB.
std::int64_t best_bucket_bytes(std::int64_t gradient_bytes, const LinkCost& link);

/// Measures the links between replicas and returns the best size for the slowest of them and the rank
/// with the most gradients: the same number on every rank. Nothing is measured where all gradients
/// fit into the smallest bucket. Collective over `world`.
std::int64_t choose_bucket_bytes(const Pieces& pieces, comm::Communicator& world, comm::Wire wire);

}  // namespace rw::pipeline
