// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "comm/mpi_engine.h"
#include "comm/wire.h"
#include "core/tensor.h"

namespace rw::comm {

/// Where this rank stands in a collective call.
struct Seat {
  int rank, size, tag;
  std::size_t me() const { return static_cast<std::size_t>(rank); }
  std::size_t ranks() const { return static_cast<std::size_t>(size); }
  /// First element of rank r's slice of n.
  std::size_t slice(std::size_t r, std::size_t n) const {
    return n / ranks() * r + std::min(r, n % ranks());
  }
};

/// Every rank's n bytes at `all` + r · n, rank order; this rank's are already there.
void exchange(MpiIo& io, const Seat& seat, std::byte* all, std::size_t n);

/// The steps of Communicator's calls of the same names. Scratch comes from the arena and goes back
/// at the end: (size − 1) parts of what this rank owns, and with a bf16 wire half of what it sends.
std::vector<MpiTask::Step> all_reduce_steps(const Seat& seat, const core::Tensor& tensor,
                                            Wire wire);
std::vector<MpiTask::Step> reduce_scatter_steps(const Seat& seat, std::span<core::Tensor> parts,
                                                Wire wire);
std::vector<MpiTask::Step> gather_parts_steps(const Seat& seat, std::span<core::Tensor> parts);

}  // namespace rw::comm
