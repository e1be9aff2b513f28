// Part of Ropewalk, MIT licence.
#include "kernels/cuda/cuda_check.h"

#include <string>

#include "core/error.h"

namespace rw::kernels::cuda {

using core::Error;
using core::ErrorKind;

void check(cudaError_t result, const char* call) {
  if (result == cudaSuccess) return;
  cudaGetLastError();
  throw Error(ErrorKind::kDevice, std::string("CUDA: ") + call +
                                      " failed: " + cudaGetErrorString(result) + " (" +
                                      cudaGetErrorName(result) + ")");
}

void check(cublasStatus_t result, const char* call) {
  if (result == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorKind::kDevice, std::string("cuBLASLt: ") + call +
                                      " failed: " + cublasLtGetStatusString(result) + " (" +
                                      cublasLtGetStatusName(result) + ")");
}

void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace rw::kernels::cuda
