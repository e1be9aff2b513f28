// Part of Ropewalk, MIT licence.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/attention/attention.h"

namespace rw::kernels {

/// What scores are multiplied by: 1/sqrt(Dh).
inline float score_scale(std::int64_t head_dim) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

/// Rows of one head in memory: row i begins at data + i · stride. T: float or core::BF16.
template <class T>
struct HeadRows {
  const T* data = nullptr;
  std::int64_t stride = 0;
  const T* row(std::int64_t i) const { return data + i * stride; }
};
template <class T>
struct MutableHeadRows {
  T* data = nullptr;
  std::int64_t stride = 0;
  T* row(std::int64_t i) const { return data + i * stride; }
};

inline constexpr std::int64_t kQueryTile = 128;
inline constexpr std::int64_t kKeyTile = 512;
inline constexpr std::int64_t kTileElems = kQueryTile * kKeyTile;

/// Floats of scratch for the tiles below. bf16 rows are converted into it tile by tile: 2 key tiles
/// and 2 (forward) or 4 (backward) query tiles of rows beside the scores.
template <class T>
constexpr std::int64_t forward_scratch_elems(std::int64_t head_dim) {
  const std::int64_t rows = std::is_same_v<T, float> ? 0 : 2 * kKeyTile + 2 * kQueryTile;
  return kTileElems + rows * head_dim;
}
template <class T>
constexpr std::int64_t backward_scratch_elems(std::int64_t head_dim) {
  const std::int64_t rows = std::is_same_v<T, float> ? 0 : 2 * kKeyTile + 4 * kQueryTile;
  return 2 * kTileElems + rows * head_dim;
}

/// One query head against its keys and values. Query t sees keys [0, t].
template <class T>
struct ForwardHead {
  HeadRows<T> q, k, v;
  MutableHeadRows<T> out;
  float* lse = nullptr;  // of query 0; may be null
  std::int64_t head_dim = 0;
};
/// Queries [begin, end), at most kQueryTile of them; scratch holds forward_scratch_elems.
template <class T>
void attention_forward_tile(const ForwardHead<T>& head, std::int64_t begin, std::int64_t end,
                            float* scratch);

/// The gradients of one query head. dk and dv are added to in f32, dq is overwritten.
template <class T>
struct BackwardHead {
  HeadRows<T> q, k, v, out, dout;
  MutableHeadRows<T> dq;
  MutableHeadRows<float> dk, dv;
  const float* lse = nullptr;
  std::int64_t head_dim = 0;
};
/// Queries [begin, end), at most kQueryTile of them; scratch holds backward_scratch_elems.
template <class T>
void attention_backward_tile(const BackwardHead<T>& head, std::int64_t begin, std::int64_t end,
                             float* scratch);

}  // namespace rw::kernels
