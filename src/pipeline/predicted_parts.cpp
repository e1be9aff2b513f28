// Part of Ropewalk, MIT licence.
#include "pipeline/predicted_parts.h"

#include <algorithm>

namespace rw::pipeline {

std::vector<std::pair<std::size_t, Span>> laid_apart(const std::vector<Operation>& operations,
                                                     const std::vector<Span>& predicted,
                                                     double step_s) {
  std::vector<std::pair<std::size_t, Span>> all;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    if (computes(operations[i].kind)) all.emplace_back(i, predicted[i]);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second.begin < b.second.begin; });
  std::vector<std::pair<std::size_t, Span>> out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& [index, span] = all[i];
    const double next = i + 1 < all.size() ? all[i + 1].second.begin : step_s;
    span.end = std::min({span.end, next, step_s});
    if (span.begin < span.end) out.push_back(all[i]);
  }
  return out;
}

}  // namespace rw::pipeline
