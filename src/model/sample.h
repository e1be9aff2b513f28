// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rw::model {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the lowest id among equals
  double top_p = 1;        // smallest set of likeliest tokens whose probability reaches it; 1: all
  std::uint64_t seed = 0;
};

/// Chooses tokens. Keeps its working memory from call to call, so that choosing allocates nothing
/// after the first time.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options) {}
  /// A token from logits [V] for new token number `i` (from 0) of sample `sample` of its prompt: a
  /// function of its arguments and the options alone. Softmax in f64. Cost: V comparisons when greedy; otherwise V
  /// exponentials, and only as many of the likeliest tokens are sorted as the choice needs.
  std::int32_t pick(std::span<const float> logits, std::int64_t i, std::uint32_t sample = 0);

 private:
  void sort_up_to(std::size_t count, std::span<const float> logits);

  SamplingOptions options_;
  std::vector<double> weights_;  // of each id
  std::vector<std::int32_t> ids_;
  std::size_t sorted_ = 0;  // ids_[0, sorted_) are the likeliest, in order
};

}  // namespace rw::model
