// Part of Ropewalk, MIT licence.
#include "data/order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace rw::data {
namespace {

using core::Error;
using core::ErrorKind;

/// What the keys of key4 are for; the number of the source stands in the bits above the lowest 8.
constexpr std::uint64_t kMixture = 1;
constexpr std::uint64_t kSamples = 2;
constexpr std::uint64_t kOffsets = 3;

constexpr int kFractionBits = 32;  // of weights and offsets
constexpr int kTimeBits = 16;      // time units per row of a source that has all the weight
constexpr std::size_t kKept = 4;   // entries a cache keeps: loader threads are close together

__extension__ using Wide = unsigned __int128;

}  // namespace

Spread::Spread(const std::vector<double>& weights, std::uint64_t seed) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double one = std::ldexp(1.0, kFractionBits);
  for (std::size_t d = 0; d < weights.size(); ++d) {
    const double share = std::floor(weights[d] / sum * one);
    weights_.push_back(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(share)));
    offsets_.push_back(key4(seed, kOffsets, d, 0) >> (64 - kFractionBits));
  }
}

/// Row l of a source is at time floor((l · 2^32 + offset) · 2^16 / weight); this is how many are at
/// `time` or before.
std::int64_t Spread::count(std::size_t source, std::uint64_t time) const {
  const Wide reach = ((static_cast<Wide>(time) + 1) * weights_[source] - 1) >> kTimeBits;
  if (reach < offsets_[source]) return 0;
  return static_cast<std::int64_t>((reach - offsets_[source]) >> kFractionBits) + 1;
}

std::int64_t Spread::total(std::uint64_t time) const {
  std::int64_t sum = 0;
  for (std::size_t d = 0; d < weights_.size(); ++d) sum += count(d, time);
  return sum;
}

/// The earliest time at which more than `row` rows have come.
std::uint64_t Spread::time_of(std::int64_t row) const {
  std::uint64_t low = 0;
  std::uint64_t high = 1;
  while (total(high) <= row) high *= 2;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (total(middle) > row) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

Spread::Place Spread::at(std::int64_t row) const {
  const std::uint64_t time = time_of(row);
  std::int64_t before = time == 0 ? 0 : total(time - 1);
  for (std::size_t d = 0; d < weights_.size(); ++d) {  // ties: in order of the sources
    const std::int64_t earlier = time == 0 ? 0 : count(d, time - 1);
    const std::int64_t here = count(d, time) - earlier;
    if (row < before + here) return {d, earlier + (row - before)};
    before += here;
  }
  throw Error(ErrorKind::kBug, fmt::format("data order: no source at row {}", row));
}

std::vector<std::int64_t> Spread::counts(std::int64_t rows) const {
  std::vector<std::int64_t> out(weights_.size(), 0);
  if (rows == 0) return out;
  const std::uint64_t time = time_of(rows - 1);
  std::int64_t left = rows - (time == 0 ? 0 : total(time - 1));
  for (std::size_t d = 0; d < out.size(); ++d) {
    out[d] = time == 0 ? 0 : count(d, time - 1);
    const std::int64_t here = std::min(left, count(d, time) - out[d]);
    out[d] += here;
    left -= here;
  }
  return out;
}

Order::Order(std::vector<std::int64_t> samples, std::vector<double> weights,
             const std::string& order, std::uint64_t seed, std::int64_t rows_per_step)
    : samples_(std::move(samples)),
      shuffled_(order == "random"),
      seed_(seed),
      rows_per_step_(rows_per_step),
      spread_(weights, seed),
      epochs_(samples_.size()) {
  if (order != "random" && order != "spread") {
    throw Error(ErrorKind::kRecipe,
                fmt::format("data.order: got {}, want random or spread", order));
  }
  if (samples_.empty() || samples_.size() != weights.size() || rows_per_step < 1) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("data: got {} sources, {} weights, {} rows per step; want at least one "
                            "of each, a weight per source",
                            samples_.size(), weights.size(), rows_per_step));
  }
  for (std::size_t d = 0; d < samples_.size(); ++d) {
    if (samples_[d] < 1 || !(weights[d] > 0)) {
      throw Error(ErrorKind::kRecipe,
                  fmt::format("data.sources[{}]: got {} samples, weight {}; want at least one "
                              "sample and a weight above 0",
                              d, samples_[d], weights[d]));
    }
  }
}

RowSample Order::at(std::int64_t step, std::int64_t row) const {
  if (step < 1 || row < 0 || row >= rows_per_step_) {
    throw Error(ErrorKind::kBug, fmt::format("data order: no row {} in step {}", row, step));
  }
  const auto where = place((step - 1) * rows_per_step_ + row);
  const std::int64_t size = samples_[where.source];
  const std::int64_t epoch = where.rank / size;
  const auto position = static_cast<std::uint64_t>(where.rank % size);
  const auto sample = permutation(where.source, epoch)->at(position);
  return {where.source, static_cast<std::int64_t>(sample), epoch};
}

Spread::Place Order::place(std::int64_t global_row) const {
  if (samples_.size() == 1) return {0, global_row};
  if (!shuffled_) return spread_.at(global_row);
  return block(global_row / kBlockRows)->places[static_cast<std::size_t>(global_row % kBlockRows)];
}

std::shared_ptr<const Order::Block> Order::block(std::int64_t number) const {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& kept : blocks_) {
      if (kept->number == number) return kept;
    }
  }
  auto made = std::make_shared<Block>();
  made->number = number;
  std::vector<std::size_t> sources(kBlockRows);
  for (std::int64_t i = 0; i < kBlockRows; ++i) {
    sources[static_cast<std::size_t>(i)] = spread_.at(number * kBlockRows + i).source;
  }
  const auto shuffle = fisher_yates(static_cast<std::uint32_t>(kBlockRows),
                                    key4(seed_, kMixture, static_cast<std::uint64_t>(number), 0));
  auto ranks = spread_.counts(number * kBlockRows);
  for (const auto from : shuffle) {
    made->places.push_back({sources[from], ranks[sources[from]]++});
  }
  const std::lock_guard lock(mutex_);
  if (blocks_.size() == kKept) blocks_.erase(blocks_.begin());
  blocks_.push_back(made);
  return made;
}

std::shared_ptr<const Permutation> Order::permutation(std::size_t source,
                                                      std::int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  auto& kept = epochs_[source];
  for (const auto& entry : kept) {
    if (entry.number == epoch) return entry.permutation;
  }
  constexpr std::uint64_t kWhole = 0;  // the bag that is the whole source
  const auto key = key4(seed_, kSamples + (static_cast<std::uint64_t>(source) << 8U),
                        static_cast<std::uint64_t>(epoch), kWhole);
  auto made =
      std::make_shared<const Permutation>(static_cast<std::uint64_t>(samples_[source]), key);
  if (kept.size() == kKept) kept.erase(kept.begin());
  kept.push_back({epoch, made});
  return made;
}

}  // namespace rw::data
