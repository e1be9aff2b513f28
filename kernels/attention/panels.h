// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/attention/heads.h"

namespace rw::kernels {

/// Attention on packed panels for CPUs with AVX2 and FMA (cpu_has_fma(), matmul/gemm.h). Sixteen
/// queries are the lanes of all that is computed for them: scores are made as [key, 16], which is
/// just how the next product wants them, and maxima, exponentials and sums need no turning. Tiles
/// wholly above the diagonal are never computed. Keys and values are packed once for all queries of
/// all heads that share them. bf16 becomes f32 as it is packed.
template <class T>
struct PanelHeads {
  static const HeadKernels<T> kTable;
};
extern template struct PanelHeads<float>;
extern template struct PanelHeads<core::BF16>;

inline constexpr std::int64_t kPanelQueries = 64;  // of a group

}  // namespace rw::kernels
