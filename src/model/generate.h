// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/dtype.h"
#include "model/options.h"
#include "model/params.h"
#include "model/sample.h"

namespace rw::model {

struct GenerateOptions {
  std::int64_t max_new_tokens = 0;
  std::int64_t samples = 1;  // of each prompt, each with its own stream of sampling.seed; the first
                             // one is what a prompt gives alone
  SamplingOptions sampling;
  std::vector<std::int64_t>
      stop_ids;  // generation ends with such a token, which is returned as well
  std::int64_t sequences_at_once = 16;      // whose cache is in memory; a waiting prompt takes the
                                            // place of a sequence that has ended
  core::DType weights = core::DType::kF32;  // see DecoderOptions
};

/// Called with the place of the answer in the result and its new token, in the order in which they
/// are made.
using OnToken = std::function<void(std::size_t answer, std::int32_t id)>;

/// Goes on from every prompt (at least one id each); returns the new ids of each, in the prompts'
/// order, its samples one after the other. They are the ids that the prompt gives alone, to the bit
/// of their logits, and prompts that are equal go on equally. `params` is let go once the decoder
/// stands. `on_token` may be empty. Throws Error{kDevice} with needed and available bytes when the
/// keys and values do not fit this machine.
std::vector<std::vector<std::int32_t>> generate(const Options& options,
                                                std::shared_ptr<const Params> params,
                                                std::span<const std::vector<std::int32_t>> prompts,
                                                const GenerateOptions& how,
                                                const OnToken& on_token = {});

}  // namespace rw::model
