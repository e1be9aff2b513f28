// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/attention/panel_kernels.h"

namespace rw::kernels {

/// Rows of one group of queries: the first `count` of 64, the others count as 0.
template <class T>
struct QueryRows {
  HeadRows<T> rows;
  std::int64_t count = 0, width = 0;
};

/// What brings rows of a head into panels and back, once per instruction set; all give the same bits.
template <class T>
struct PanelPacks {
  /// from [tokens, width] as panels of six rows, [tokens/6, width, 6].
  void (*rows)(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width, float* to);
  /// from [tokens, width] as panels of six columns, [width/6, tokens, 6].
  void (*columns)(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width, float* to);
  /// Queries times `scale` as panels of sixteen rows, [4, width, 16].
  void (*queries)(const QueryRows<T>& from, float scale, float* to);
  /// Queries times `scale` as panels of sixteen columns, [width/16, 64, 16].
  void (*query_columns)(const QueryRows<T>& from, float scale, float* to);
  /// to [count]: the products of each row of a with that of b, summed.
  void (*dots)(const QueryRows<T>& a, const HeadRows<T>& b, float* to);
  /// The sums of one panel, [width, 16], times factors [16], as `count` rows, at most 16.
  void (*write)(const float* sums, const float* factors, std::int64_t width, std::int64_t count,
                const MutableHeadRows<T>& to);
};
/// The best for this CPU.
template <class T>
const PanelPacks<T>& panel_packs();

/// dots of every table: eight sums a row.
template <class T>
void panel_dots(const QueryRows<T>& a, const HeadRows<T>& b, float* to);

template <class T>
struct PanelPacksAvx2 {
  static const PanelPacks<T> kTable;
};
template <class T>
struct PanelPacks512 {
  static const PanelPacks<T> kTable;
};
extern template struct PanelPacksAvx2<float>;
extern template struct PanelPacksAvx2<core::BF16>;
extern template struct PanelPacks512<float>;
extern template struct PanelPacks512<core::BF16>;

}  // namespace rw::kernels
