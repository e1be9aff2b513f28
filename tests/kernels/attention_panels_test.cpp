// Part of Ropewalk, MIT licence.
#include "kernels/attention/panel_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "core/buffer.h"
#include "kernels/matmul/gemm.h"

namespace rw::kernels {
namespace {

struct Sizes {
  std::int64_t tokens, head_dim;
};

/// Scratch of one key/value head full of random numbers, and gradients beside it.
class Memory {
 public:
  Memory(const Sizes& sizes, unsigned seed)
      : sizes_(sizes),
        elems_(PanelHeads<float>::kTable.backward_elems(sizes.tokens, sizes.head_dim)),
        buffer_(static_cast<std::size_t>(elems_) * sizeof(float), core::Device{}) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> numbers(-1, 1);
    for (std::int64_t i = 0; i < elems_; ++i) data()[i] = numbers(random);
  }
  float* data() const { return static_cast<float*>(buffer_.address()); }
  BackwardRoom room() const { return {sizes_.tokens, sizes_.head_dim, data()}; }
  /// All but `turned`, which AVX-512 does not need.
  void expect_same(const Memory& other) const {
    std::fill_n(room().turned, kPanelQueries * kTileRows, 0.0F);
    std::fill_n(other.room().turned, kPanelQueries * kTileRows, 0.0F);
    const auto bytes = static_cast<std::size_t>(elems_) * sizeof(float);
    EXPECT_EQ(std::memcmp(data(), other.data(), bytes), 0);
  }

 private:
  Sizes sizes_;
  std::int64_t elems_;
  core::Buffer buffer_;
};

class PanelKernelsTest : public ::testing::TestWithParam<Sizes> {};

/// Queries at the front, in the middle and at the ragged end, blocks of keys in front of and on the diagonal.
TEST_P(PanelKernelsTest, Avx512GivesTheBitsOfAvx2) {
  if (!gemm_runs_here(GemmEngine::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512";
  const Sizes sizes = GetParam();
  const Memory narrow(sizes, 1);
  const Memory wide(sizes, 1);
  for (std::int64_t query = 0; query < sizes.tokens; query += kPanelQueries) {
    SoftmaxLanes narrow_lanes[kGroup], wide_lanes[kGroup];
    for (std::int64_t key = 0; key < std::min(sizes.tokens, query + kPanelQueries); key += kKeys) {
      SCOPED_TRACE(query);
      SCOPED_TRACE(key);
      const KeyBlock block{key, query, sizes.tokens};
      const auto run = [&](const PanelKernels& by, const Memory& at, SoftmaxLanes* lanes) {
        const BackwardRoom room = at.room();
        by.scores(block, room.k, room.q, sizes.head_dim, room.p);
        by.scores(block, room.v, room.dout, sizes.head_dim, room.ds);
        for (std::int64_t g = 0; g < kGroup; ++g) {
          const std::int64_t panel = g * kKeys * kLanes;
          float* sums = room.dq + g * room.dims() * kLanes;
          by.probabilities(block, g, {room.q, room.q + kLanes, room.p + panel, room.ds + panel});
          by.take_block(block, g, room.p + panel, lanes[g], sums, room.dims());
        }
        by.weigh(block, room.k_columns, room.ds, room, room.dq);
        by.add_keys(block, room);
      };
      run(kPanelKernelsAvx2, narrow, narrow_lanes);
      run(kPanelKernels512, wide, wide_lanes);
      narrow.expect_same(wide);
      for (std::int64_t g = 0; g < kGroup; ++g) {
        for (std::int64_t lane = 0; lane < kLanes; ++lane) {
          EXPECT_EQ(narrow_lanes[g].largest[lane], wide_lanes[g].largest[lane]);
          EXPECT_EQ(narrow_lanes[g].sum[lane], wide_lanes[g].sum[lane]);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, PanelKernelsTest,
                         ::testing::Values(Sizes{1, 16}, Sizes{70, 40}, Sizes{131, 96},
                                           Sizes{500, 64}),
                         [](const auto& sizes) {
                           return std::to_string(sizes.param.tokens) + "x" +
                                  std::to_string(sizes.param.head_dim);
                         });

}  // namespace
}  // namespace rw::kernels
