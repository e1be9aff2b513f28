// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/permutation.h"

namespace rw::data {

/// Which sample a row of a step holds. `epoch` counts from 0: how often the source has been gone
/// through before.
struct RowSample {
  std::size_t source = 0;
  std::int64_t sample = 0;
  std::int64_t epoch = 0;
  bool operator==(const RowSample&) const = default;
};

/// Mixes sources by weight, evenly spread: row l of source d sits at time (l + u_d) / weight_d, with
/// a seeded u_d in [0, 1) (papers/data_boom.md §7.4, smooth interleave), in integers. After any
/// number of rows every source has its share to within one row per source.
class Spread {
 public:
  Spread(const std::vector<double>& weights, std::uint64_t seed);
  struct Place {
    std::size_t source = 0;
    std::int64_t rank = 0;  // rows of this source before this one
  };
  Place at(std::int64_t row) const;  // O(sources · log sources)
  /// Rows of `source` among the first `rows` ones.
  std::vector<std::int64_t> counts(std::int64_t rows) const;

 private:
  std::int64_t count(std::size_t source, std::uint64_t time) const;
  std::int64_t total(std::uint64_t time) const;
  std::uint64_t time_of(std::int64_t row) const;
  std::vector<std::uint64_t> weights_, offsets_;  // both in 2^-32
};

/// The order of all samples as a pure function of (seed, sizes, weights, order) at (step, row): the
/// whole state of the data is the number of the step, and every rank count sees the same stream.
/// `random`: the spread mixture, shuffled within blocks of 4096 rows; `spread`: not shuffled. Inside
/// a source the samples come in a new random permutation each epoch. Thread-safe.
class Order {
 public:
  /// samples[d] >= 1, weights[d] > 0. Throws Error{kRecipe} otherwise, or on an unknown order.
  Order(std::vector<std::int64_t> samples, std::vector<double> weights, const std::string& order,
        std::uint64_t seed, std::int64_t rows_per_step);
  /// step from 1, 0 <= row < rows_per_step().
  RowSample at(std::int64_t step, std::int64_t row) const;
  std::int64_t rows_per_step() const { return rows_per_step_; }

 private:
  static constexpr std::int64_t kBlockRows = 4096;
  struct Block {
    std::int64_t number = -1;
    std::vector<Spread::Place> places;
  };
  struct Epoch {
    std::int64_t number = -1;
    std::shared_ptr<const Permutation> permutation;  // shared with calls under way
  };
  Spread::Place place(std::int64_t global_row) const;
  std::shared_ptr<const Block> block(std::int64_t number) const;
  std::shared_ptr<const Permutation> permutation(std::size_t source, std::int64_t epoch) const;

  std::vector<std::int64_t> samples_;
  bool shuffled_ = true;
  std::uint64_t seed_ = 0;
  std::int64_t rows_per_step_ = 1;
  Spread spread_;
  mutable std::mutex mutex_;                                  // the two caches below
  mutable std::vector<std::shared_ptr<const Block>> blocks_;  // shared with calls under way
  mutable std::vector<std::vector<Epoch>> epochs_;            // per source, the last ones used
};

}  // namespace rw::data
