// Part of Ropewalk, MIT licence.
#include "kernels/attention/panel_packs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "core/buffer.h"
#include "kernels/matmul/gemm.h"

namespace rw::kernels {
namespace {

using core::BF16;

struct Sizes {
  std::int64_t tokens, head_dim;
};

constexpr std::int64_t kStrideBeyond = 24;  // numbers of others between two rows

/// Numbers at multiples of 64 bytes; what nobody writes stays 7.
class Numbers {
 public:
  explicit Numbers(std::int64_t count)
      : count_(count), buffer_(static_cast<std::size_t>(count) * sizeof(float), core::Device{}) {
    std::fill_n(data(), count_, 7.0F);
  }
  float* data() const { return static_cast<float*>(buffer_.address()); }

 private:
  std::int64_t count_;
  core::Buffer buffer_;
};

/// Random rows [tokens, head_dim], the last of which ends with the memory: reading on would be seen by
/// AddressSanitizer.
template <class T>
class Rows {
 public:
  Rows(const Sizes& sizes, unsigned seed)
      : stride_(sizes.head_dim + kStrideBeyond),
        data_(static_cast<std::size_t>((sizes.tokens - 1) * stride_ + sizes.head_dim)) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> numbers(-1, 1);
    for (T& x : data_) x = T(numbers(random));
  }
  HeadRows<T> rows() const { return {data_.data(), stride_}; }
  MutableHeadRows<T> rows() { return {data_.data(), stride_}; }
  float at(std::int64_t row, std::int64_t d) const {
    return static_cast<float>(data_[static_cast<std::size_t>(row * stride_ + d)]);
  }

 private:
  std::int64_t stride_;
  std::vector<T> data_;
};

class PanelPacksTest : public ::testing::TestWithParam<Sizes> {};

/// The layouts as the header says them, for every table that runs here.
template <class T>
void expect_layouts(const PanelPacks<T>& table, const Sizes& sizes) {
  const auto [tokens, width] = sizes;
  const Rows<T> from(sizes, 1);
  const Numbers rows(panel_round_up(tokens, kTileRows) * width);
  const Numbers columns(panel_round_up(width, kTileRows) * tokens);
  table.rows(from.rows(), tokens, width, rows.data());
  table.columns(from.rows(), tokens, width, columns.data());
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t d = 0; d < width; ++d) {
      const std::int64_t six = t / kTileRows * kTileRows;
      ASSERT_EQ(rows.data()[six * width + d * kTileRows + t % kTileRows], from.at(t, d));
      const std::int64_t six_d = d / kTileRows * kTileRows;
      ASSERT_EQ(columns.data()[six_d * tokens + t * kTileRows + d % kTileRows], from.at(t, d));
    }
  }
  const std::int64_t count = std::min(kPanelQueries, tokens);
  const QueryRows<T> group{from.rows(), count, width};
  const Numbers queries(kPanelQueries * width);
  const Numbers query_columns(kPanelQueries * panel_round_up(width, kLanes));
  table.queries(group, 0.375F, queries.data());
  table.query_columns(group, 0.375F, query_columns.data());
  for (std::int64_t i = 0; i < kPanelQueries; ++i) {
    for (std::int64_t d = 0; d < width; ++d) {
      const float wanted = i < count ? from.at(i, d) * 0.375F : 0.0F;
      ASSERT_EQ(queries.data()[(i / kLanes * width + d) * kLanes + i % kLanes], wanted);
      const std::int64_t panel = d / kLanes * kLanes;
      ASSERT_EQ(query_columns.data()[panel * kPanelQueries + i * kLanes + d % kLanes], wanted);
    }
  }
  Rows<T> written(sizes, 2);
  const Rows<T> before(sizes, 2);
  alignas(64) float factors[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) factors[i] = 0.5F + static_cast<float>(i);
  const std::int64_t lanes = std::min(kLanes, tokens);
  table.write(queries.data(), factors, width, lanes, written.rows());
  for (std::int64_t i = 0; i < tokens; ++i) {
    for (std::int64_t d = 0; d < width; ++d) {
      const float sum = i < lanes ? queries.data()[d * kLanes + i] * factors[i] : 0.0F;
      ASSERT_EQ(written.at(i, d), i < lanes ? static_cast<float>(T(sum)) : before.at(i, d));
    }
  }
}

/// Every table that this CPU can run; with AVX-512 both.
template <class T>
std::vector<const PanelPacks<T>*> tables() {
  std::vector<const PanelPacks<T>*> out;
  if (cpu_has_fma()) out.push_back(&PanelPacksAvx2<T>::kTable);
  if (gemm_runs_here(GemmEngine::kAvx512)) out.push_back(&PanelPacks512<T>::kTable);
  return out;
}

TEST_P(PanelPacksTest, LayOutAsTold) {
  for (const auto* table : tables<float>()) expect_layouts(*table, GetParam());
  for (const auto* table : tables<BF16>()) expect_layouts(*table, GetParam());
}

INSTANTIATE_TEST_SUITE_P(, PanelPacksTest,
                         ::testing::Values(Sizes{1, 16}, Sizes{70, 40}, Sizes{13, 3},
                                           Sizes{131, 96}, Sizes{67, 64}, Sizes{64, 50}),
                         [](const auto& sizes) {
                           return std::to_string(sizes.param.tokens) + "x" +
                                  std::to_string(sizes.param.head_dim);
                         });

}  // namespace
}  // namespace rw::kernels
