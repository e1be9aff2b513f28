// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "kernels/attention/tile.h"

namespace rw::kernels {

/// Attention on packed panels for CPUs with AVX2 and FMA (cpu_has_fma(), matmul/gemm.h). Sixteen
/// queries are the lanes of all that is computed for them: scores are made as [key, 16], which is
/// just how the next product wants them, and maxima, exponentials and sums need no turning. Tiles
/// wholly above the diagonal are never computed. Keys and values are packed once for all queries of
/// all heads that share them.
///
/// One key/value head at a time. Scratch is the caller's, forward_panel_elems or
/// backward_panel_elems floats, at a multiple of 64 bytes.
std::int64_t forward_panel_elems(std::int64_t tokens, std::int64_t head_dim);
std::int64_t backward_panel_elems(std::int64_t tokens, std::int64_t head_dim);

/// Packs k and v [tokens, head_dim] of the head; for backward, sets the sums of their gradients to 0 too.
template <class T>
void pack_forward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                       std::int64_t head_dim, float* scratch);
template <class T>
void pack_backward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                        std::int64_t head_dim, float* scratch);

/// After all queries of all heads that share the keys: the sums, as rows [tokens, head_dim].
template <class T>
void write_key_gradients(const MutableHeadRows<T>& dk, const MutableHeadRows<T>& dv,
                         std::int64_t tokens, std::int64_t head_dim, float* scratch);

inline constexpr std::int64_t kPanelQueries = 64;

/// Queries [begin, begin + kPanelQueries) as far as there are any. Every query's numbers
/// depend on nothing but its own head.
template <class T>
void attention_forward_panels(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                              float* scratch);
/// What is due to dk and dv is added to the sums in scratch, dq is overwritten; the head's dk and dv are not looked at.
template <class T>
void attention_backward_panels(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                               float* scratch);

}  // namespace rw::kernels
