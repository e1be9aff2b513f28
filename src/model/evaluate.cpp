// Part of Ropewalk, MIT licence.
#include "model/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "model/stage.h"

namespace rw::model {
namespace {

/// Rows of equal length share one forward pass: enough for the rate of a training step's, few
/// enough that the logits take at most 256 MiB.
constexpr std::int64_t kTokensAtOnce = 2048;
constexpr std::int64_t kLogitsAtOnce = std::int64_t{64} << 20;

void check(const Options& options, std::span<const std::int32_t> ids) {
  if (ids.size() < 2) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("eval: got {} tokens, want at least 2", ids.size()));
  }
  const auto bad = std::find_if(
      ids.begin(), ids.end(), [&](std::int32_t id) { return id < 0 || id >= options.vocab_size; });
  if (bad != ids.end()) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("eval: token {} is {}, want 0 to {} (the model's vocabulary); is "
                                  "this the model's tokenizer?",
                                  bad - ids.begin(), *bad, options.vocab_size - 1));
  }
}

}  // namespace

Evaluation evaluate(const Options& options, std::shared_ptr<Params> params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len) {
  check(options, ids);
  Stage stage(options, {0, options.num_hidden_layers, true, true}, std::move(params));
  core::Stream stream;
  const auto predicted = static_cast<std::int64_t>(ids.size()) - 1;
  const std::int64_t tokens_at_once = std::min(kTokensAtOnce, kLogitsAtOnce / options.vocab_size);
  const std::int64_t rows_at_once = std::max<std::int64_t>(1, tokens_at_once / seq_len);
  Evaluation out;
  for (std::int64_t first = 0; first < predicted;) {
    const std::int64_t tokens = std::min(seq_len, predicted - first);
    const std::int64_t rows = std::min(rows_at_once, (predicted - first) / tokens);
    const auto count = static_cast<std::size_t>(rows * tokens);
    StageInput input;
    input.batch = rows;
    input.tokens = tokens;
    const auto begin = static_cast<std::size_t>(first);
    input.token_ids = core::Tensor::of_ints({rows * tokens}, ids.subspan(begin, count));
    input.targets = core::Tensor::of_ints({rows * tokens}, ids.subspan(begin + 1, count));
    const StageOutput result = stage.forward(input, nullptr, stream);
    out.loss_sum += result.loss_sum;
    out.predicted_tokens += result.loss_tokens;
    first += rows * tokens;
  }
  return out;
}

}  // namespace rw::model
