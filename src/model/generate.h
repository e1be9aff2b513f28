// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::model {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the lowest id among equals
  double top_p = 1;        // smallest set of likeliest tokens whose probability reaches it; 1: all
  std::uint64_t seed = 0;
};

/// Chooses a token from logits [V] for new token number `i` (from 0): a function of its arguments
/// alone. Softmax in f64.
std::int32_t sample(std::span<const float> logits, const SamplingOptions& options, std::int64_t i);

/// Decoding of one sequence with a cache of keys and values: every token passes each layer once.
class Decoder {
 public:
  /// `params` holds the whole model and outlives the decoder. The caches take
  /// 2 · layers · max_tokens · Hkv · Dh floats.
  Decoder(const Options& options, Params& params, std::int64_t max_tokens,
          core::Device device = {});
  ~Decoder();
  /// Appends tokens; returns the logits [V] that follow the last one. Throws Error{kShape} when the
  /// cache is full or an id is not in the vocabulary.
  std::vector<float> feed(std::span<const std::int32_t> ids);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct GenerateOptions {
  std::int64_t max_new_tokens = 0;
  SamplingOptions sampling;
  std::vector<std::int64_t>
      stop_ids;  // generation ends with such a token, which is returned as well
};
/// Goes on from `prompt` (at least one id); returns the new ids. `on_token` may be empty.
std::vector<std::int32_t> generate(const Options& options, Params& params,
                                   std::span<const std::int32_t> prompt, const GenerateOptions& how,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace rw::model
