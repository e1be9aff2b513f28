// Part of Ropewalk, MIT licence.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace rw::kernels {

/// Work smaller than this many elements is not worth waking threads for.
inline constexpr std::int64_t kElemsPerThread = 8192;

/// Calls body(begin, end) for contiguous parts of [0, count), one per thread; every part but the
/// last is a multiple of `grain` long. `unit` is the work of one item in elements: little work
/// stays on the calling thread. body must not throw.
template <class Body>
void for_parts(std::int64_t count, std::int64_t unit, std::int64_t grain, const Body& body) {
  const std::int64_t grains = (count + grain - 1) / grain;
  const std::int64_t wanted = count * unit / kElemsPerThread;
  const std::int64_t most = std::min<std::int64_t>(omp_get_max_threads(), grains);
  const std::int64_t parts = std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(most, 1));
  if (parts == 1) {
    if (count > 0) body(std::int64_t{0}, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(parts))
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t begin = grains * part / parts * grain;
    const std::int64_t end = std::min(count, grains * (part + 1) / parts * grain);
    if (begin < end) body(begin, end);
  }
}

/// Flat arrays: parts begin on cache lines.
template <class Body>
void for_elems(std::int64_t elems, const Body& body) {
  for_parts(elems, 1, 64, body);
}
/// Rows of `width` elements.
template <class Body>
void for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
  for_parts(rows, width, 1, body);
}

}  // namespace rw::kernels
