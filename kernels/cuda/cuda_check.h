// Part of Ropewalk, MIT licence.
#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/stream.h"

namespace rw::kernels::cuda {

/// Throws Error{kDevice} "CUDA: CALL failed: TEXT (NAME)" unless `result` is success. Takes the
/// error off the runtime's slate.
void check(cudaError_t result, const char* call);
void check(cublasStatus_t result, const char* call);
/// The same for the launch just before.
void check_launch(const char* kernel);

inline cudaStream_t native(const core::Stream& stream) {
  return static_cast<cudaStream_t>(stream.native());
}

/// Blocks for `work` items at `per_block` each, at most what a grid may have in x.
inline unsigned blocks_for(std::int64_t work, std::int64_t per_block) {
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
  const std::int64_t blocks = (work + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}

}  // namespace rw::kernels::cuda
