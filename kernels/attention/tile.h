// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "kernels/attention/attention.h"

namespace rw::kernels {

/// Rows of one head in memory: row i begins at data + i · stride.
struct HeadRows {
  const float* data = nullptr;
  std::int64_t stride = 0;
  const float* row(std::int64_t i) const { return data + i * stride; }
};
struct MutableHeadRows {
  float* data = nullptr;
  std::int64_t stride = 0;
  float* row(std::int64_t i) const { return data + i * stride; }
  operator HeadRows() const { return {data, stride}; }
};

inline constexpr std::int64_t kQueryTile = 128;
inline constexpr std::int64_t kKeyTile = 512;
inline constexpr std::int64_t kTileElems = kQueryTile * kKeyTile;

/// One query head against its keys and values. Query t sees keys [0, past + t].
struct ForwardHead {
  HeadRows q, k, v;
  MutableHeadRows out;
  float* lse = nullptr;  // of query 0; may be null
  std::int64_t past = 0;
  std::int64_t head_dim = 0;
};
/// Queries [begin, end), at most kQueryTile of them; scratch holds kTileElems.
void attention_forward_tile(const ForwardHead& head, std::int64_t begin, std::int64_t end,
                            float* scratch);

/// The gradients of one query head. dk and dv are added to, dq is overwritten.
struct BackwardHead {
  HeadRows q, k, v, out, dout;
  MutableHeadRows dq, dk, dv;
  const float* lse = nullptr;
  std::int64_t head_dim = 0;
};
/// Queries [begin, end), at most kQueryTile of them; scratch holds 2 · kTileElems.
void attention_backward_tile(const BackwardHead& head, std::int64_t begin, std::int64_t end,
                             float* scratch);

}  // namespace rw::kernels
