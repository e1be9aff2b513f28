// Part of Ropewalk, MIT licence.
// The CUDA backend's table: what librw_cuda.so gives to the program that loads it.
#include "core/device.h"
#include "kernels/adamw/twins.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/matmul/twins.h"
#include "kernels/rms_norm/twins.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {

extern const MatmulTwins kMatmulCuda;
extern const RmsNormTwins kRmsNormCuda;
extern const SwigluTwins kSwigluCuda;
extern const AdamwTwins kAdamwCuda;

namespace cuda {
namespace {

int device_count() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaErrorNoDevice || result == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    return 0;
  }
  check(result, "cudaGetDeviceCount");
  return count;
}

void copy(void* to, const void* from, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)),
        "cudaMemcpyAsync");
}

void fill(void* to, int byte, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(to, byte, bytes, static_cast<cudaStream_t>(stream)), "cudaMemsetAsync");
}

void* stream_create(int index) {
  check(cudaSetDevice(index), "cudaSetDevice");
  cudaStream_t out = nullptr;
  check(cudaStreamCreateWithFlags(&out, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return out;
}

void stream_destroy(void* stream) {
  if (stream != nullptr) cudaStreamDestroy(static_cast<cudaStream_t>(stream));
}

void stream_sync(void* stream) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
}

void* event_create(int index) {
  check(cudaSetDevice(index), "cudaSetDevice");
  cudaEvent_t out = nullptr;
  check(cudaEventCreateWithFlags(&out, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return out;
}

void event_destroy(void* event) {
  if (event != nullptr) cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void event_record(void* event, void* stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)),
        "cudaEventRecord");
}

void event_wait(void* event, void* stream) {
  check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
        "cudaStreamWaitEvent");
}

void event_sync(void* event) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
}

void set(core::Backend& table, core::Op op, const void* twins) {
  table.twins[static_cast<std::size_t>(op)] = twins;
}

}  // namespace
}  // namespace cuda
}  // namespace rw::kernels

/// Called once by core::load_backend.
extern "C" __attribute__((visibility("default"))) void ropewalk_register_backend(
    rw::core::Backend* table) {
  using rw::core::Op;
  namespace kernels = rw::kernels;
  namespace cuda = rw::kernels::cuda;
  table->device_count = cuda::device_count;
  table->alloc = cuda::device_alloc;
  table->release = [](void* address, std::size_t bytes, int index) {
    cuda::device_release(address, bytes, index);
  };
  table->copy = cuda::copy;
  table->fill = cuda::fill;
  table->stream_create = cuda::stream_create;
  table->stream_destroy = cuda::stream_destroy;
  table->stream_sync = cuda::stream_sync;
  table->event_create = cuda::event_create;
  table->event_destroy = cuda::event_destroy;
  table->event_record = cuda::event_record;
  table->event_wait = cuda::event_wait;
  table->event_sync = cuda::event_sync;
  cuda::set(*table, Op::kMatmul, &kernels::kMatmulCuda);
  cuda::set(*table, Op::kRmsNorm, &kernels::kRmsNormCuda);
  cuda::set(*table, Op::kSwiglu, &kernels::kSwigluCuda);
  cuda::set(*table, Op::kAdamw, &kernels::kAdamwCuda);
  table->name = "cuda";  // last: now it is loaded
}
