// Part of Ropewalk, MIT licence.
#pragma once
#include <span>

#include "core/tensor.h"

namespace rw::comm {

/// What every implementation refuses, with one message each. Tensors: Error{kShape}; ranks, tags,
/// and members: Error{kBug}, as only a mistake in the program gets there.
void check_rank(const char* call, int rank, int size);
void check_tag(const char* call, int tag);
void check_f32(const char* call, const core::Tensor& tensor);
void check_gather(const core::Tensor& mine, const core::Tensor& all, int size);
/// One part per rank, contiguous, of one dtype.
void check_parts(const char* call, std::span<const core::Tensor> parts, int size);
void check_members(std::span<const int> members, int size);

}  // namespace rw::comm
