// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "data/corpus.h"

namespace rw::data {

/// The validation set: the first data.validation_rows samples of each corpus of data.validation (all
/// of a smaller one), in order, cut into micro-batches; the last may be smaller.
class Validation {
 public:
  /// Errors as Corpora's.
  Validation(const Options& options, std::int64_t seq_len, std::int64_t micro_batch_size);
  std::int64_t micro_batches() const;
  MicroBatchData micro_batch(std::int64_t i) const;

 private:
  Corpora corpora_;
  std::int64_t micro_batch_size_;
  std::vector<std::pair<std::size_t, std::int64_t>> rows_;  // (source, sample)
};

}  // namespace rw::data
