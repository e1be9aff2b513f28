// Part of Ropewalk, MIT licence.
#include "core/buffer.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"
#include "kernels/reduce/math.h"
#include "kernels/reduce/twins.h"

namespace rw::kernels {
namespace {

RW_CLONES double block_sum(const float* x, std::int64_t elems) {
  double lanes[kReduceLanes] = {};
  const std::int64_t whole = elems / kReduceLanes * kReduceLanes;
  for (std::int64_t i = 0; i < whole; i += kReduceLanes) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < kReduceLanes; ++lane) {
      lanes[lane] += static_cast<double>(x[i + lane]);
    }
  }
  for (std::int64_t i = whole; i < elems; ++i) lanes[i - whole] += static_cast<double>(x[i]);
  return add_pairwise(lanes, kReduceLanes);
}

RW_CLONES double block_squares(const float* x, std::int64_t elems) {
  double lanes[kReduceLanes] = {};
  const std::int64_t whole = elems / kReduceLanes * kReduceLanes;
  for (std::int64_t i = 0; i < whole; i += kReduceLanes) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < kReduceLanes; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      lanes[lane] += value * value;
    }
  }
  for (std::int64_t i = whole; i < elems; ++i) {
    lanes[i - whole] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return add_pairwise(lanes, kReduceLanes);
}

template <class BlockSum>
double reduce(const Tensor& x, const BlockSum& block_value) {
  const std::int64_t elems = x.elems();
  const std::int64_t blocks = (elems + kReduceBlock - 1) / kReduceBlock;
  if (blocks == 0) return 0;
  const core::Buffer memory(static_cast<std::size_t>(blocks) * sizeof(double), core::Device{});
  auto* sums = static_cast<double*>(memory.address());
  const float* from = x.data<float>();
  for_parts(blocks, kReduceBlock, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kReduceBlock;
      sums[block] = block_value(from + first, std::min(kReduceBlock, elems - first));
    }
  });
  return add_pairwise(sums, blocks);
}

double sum_of_squares_cpu(const Tensor& x, Stream& /*stream*/) { return reduce(x, block_squares); }
double sum_cpu(const Tensor& x, Stream& /*stream*/) { return reduce(x, block_sum); }

}  // namespace

const ReduceTwins kReduceCpu{sum_of_squares_cpu, sum_cpu};

}  // namespace rw::kernels
