// Part of Ropewalk, MIT licence.
#include "data/validation.h"

#include <algorithm>

namespace rw::data {

Validation::Validation(const Options& options, std::int64_t seq_len, std::int64_t micro_batch_size)
    : corpora_(options.validation, seq_len), micro_batch_size_(micro_batch_size) {
  for (std::size_t source = 0; source < corpora_.size(); ++source) {
    const auto rows = std::min(options.validation_rows, corpora_.samples(source));
    for (std::int64_t sample = 0; sample < rows; ++sample) rows_.emplace_back(source, sample);
  }
}

std::int64_t Validation::micro_batches() const {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  return (rows + micro_batch_size_ - 1) / micro_batch_size_;
}

MicroBatchData Validation::micro_batch(std::int64_t i) const {
  const std::int64_t first = i * micro_batch_size_;
  const auto rows = std::min(micro_batch_size_, static_cast<std::int64_t>(rows_.size()) - first);
  MicroBatchData out = make_micro_batch(rows, corpora_.seq_len());
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto& [source, sample] = rows_[static_cast<std::size_t>(first + row)];
    fill_row(corpora_, source, sample, row, out);
  }
  return out;
}

}  // namespace rw::data
