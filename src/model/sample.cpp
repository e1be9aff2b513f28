// Part of Ropewalk, MIT licence.
#include "model/sample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/rng.h"
#include "kernels/row_math.h"

namespace rw::model {
namespace {

constexpr std::size_t kSortedFirst = 64;  // then four times as many, and so on
constexpr std::size_t kBlock = 1024;

std::int32_t lowest_of_the_largest(std::span<const float> logits) {
  float largest = 0;
  std::size_t where = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    const float most = kernels::row_max(block.data(), static_cast<std::int64_t>(block.size()));
    if (begin == 0 || most > largest) {
      largest = most;
      where = begin;
    }
  }
  const auto first = logits.begin() + static_cast<std::ptrdiff_t>(where);
  const auto found = std::find(first, logits.end(), largest);
  return found == logits.end() ? 0 : static_cast<std::int32_t>(found - logits.begin());
}

}  // namespace

void Sampler::sort_up_to(std::size_t count, std::span<const float> logits) {
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const float left = logits[static_cast<std::size_t>(a)];
    const float right = logits[static_cast<std::size_t>(b)];
    return left > right || (left == right && a < b);
  };
  const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  const auto end = ids_.begin() + static_cast<std::ptrdiff_t>(count);
  if (end != ids_.end()) std::nth_element(begin, end, ids_.end(), likelier);
  std::sort(begin, end, likelier);
  sorted_ = count;
}

std::int32_t Sampler::pick(std::span<const float> logits, std::int64_t i, std::uint32_t sample) {
  const std::int32_t best = lowest_of_the_largest(logits);
  if (options_.temperature <= 0) return best;
  const double largest = double{logits[static_cast<std::size_t>(best)]};
  weights_.resize(logits.size());
  double total = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) {
    weights_[k] = std::exp((double{logits[k]} - largest) / options_.temperature);
    total += weights_[k];
  }
  ids_.resize(logits.size());
  std::iota(ids_.begin(), ids_.end(), 0);
  sorted_ = 0;
  const auto weight = [&](std::size_t k) {  // of the k-th likeliest
    if (k == sorted_) {
      sort_up_to(std::min(ids_.size(), std::max(kSortedFirst, 4 * sorted_)), logits);
    }
    return weights_[static_cast<std::size_t>(ids_[k])];
  };
  double kept = total;
  std::size_t count = ids_.size();
  if (options_.top_p < 1) {
    kept = 0;
    count = 0;
    while (count < ids_.size() && (count == 0 || kept < options_.top_p * total)) {
      kept += weight(count++);
    }
  }
  const core::RngCell cell{options_.seed, core::Purpose::kSampling, 0, 0, sample};
  double left = core::uniform(cell, static_cast<std::uint64_t>(i)) * kept;
  for (std::size_t k = 0; k < count; ++k) {
    left -= weight(k);
    if (left < 0) return ids_[k];
  }
  return ids_[count - 1];
}

}  // namespace rw::model
