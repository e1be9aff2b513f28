// Part of Ropewalk, MIT licence.
#include "kernels/cuda/cuda_memory.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "kernels/cuda/cuda_check.h"

namespace rw::kernels::cuda {
namespace {

constexpr std::size_t kSmall = 512;
constexpr std::size_t kLarge = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes < kLarge ? kSmall : kLarge;
  return bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
}

class Cache {
 public:
  void* take(std::size_t bytes, int index) {
    const std::size_t size = rounded(bytes);
    const std::lock_guard lock(mutex_);
    auto& kept = free_[{index, size}];
    if (!kept.empty()) {
      void* out = kept.back();
      kept.pop_back();
      return out;
    }
    check(cudaSetDevice(index), "cudaSetDevice");
    void* out = nullptr;
    cudaError_t result = cudaMalloc(&out, size);
    if (result == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      trim();
      result = cudaMalloc(&out, size);
    }
    if (result == cudaErrorMemoryAllocation) full(size, index);
    check(result, "cudaMalloc");
    return out;
  }

  void give(void* address, std::size_t bytes, int index) {
    const std::lock_guard lock(mutex_);
    free_[{index, rounded(bytes)}].push_back(address);
  }

 private:
  void trim() {
    for (auto& [key, kept] : free_) {
      for (void* address : kept) check(cudaFree(address), "cudaFree");  // waits for the device
      kept.clear();
    }
  }
  [[noreturn]] static void full(std::size_t size, int index) {
    cudaGetLastError();
    std::size_t left = 0;
    std::size_t total = 0;
    cudaMemGetInfo(&left, &total);
    throw core::Error(core::ErrorKind::kDevice,
                      "CUDA: device " + std::to_string(index) + " is full: want " +
                          std::to_string(size) + " bytes, free " + std::to_string(left) + " of " +
                          std::to_string(total) +
                          "; try a smaller train.micro_batch_size or more pipeline stages");
  }

  std::mutex mutex_;
  std::map<std::pair<int, std::size_t>, std::vector<void*>> free_;  // (device, size)
};

/// Lives until the process ends: the driver may be gone before static objects are.
Cache& cache() {
  static Cache& kCache = *new Cache();  // NOLINT(cppcoreguidelines-owning-memory)
  return kCache;
}

}  // namespace

void* device_alloc(std::size_t bytes, int index) { return cache().take(bytes, index); }

void device_release(void* address, std::size_t bytes, int index) noexcept {
  cache().give(address, bytes, index);
}

}  // namespace rw::kernels::cuda
