// Part of Ropewalk, MIT licence.
#include "model/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

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

/// Stages one after the other: embedding before the first range, head behind the last.
class Chain {
 public:
  Chain(const Options& options, const std::shared_ptr<Params>& params, const LayerRanges& ranges) {
    LayerRanges parts = ranges;
    if (parts.empty()) parts.emplace_back(0, 0);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const StageRange range{parts[i].first, parts[i].second, i == 0, i + 1 == parts.size()};
      stages_.emplace_back(options, range, params);
    }
  }
  StageOutput forward(StageInput input, core::Stream& stream) {
    StageOutput out;
    for (Stage& stage : stages_) {
      out = stage.forward(input, nullptr, stream);
      input.x = out.y;
    }
    return out;
  }

 private:
  std::vector<Stage> stages_;
};

/// Windows of one length that go through the same layers: `windows` of them, numbers into `ids`.
StageInput batch_of(std::span<const std::int32_t> ids, std::span<const std::int64_t> windows,
                    std::int64_t seq_len, std::int64_t tokens) {
  std::vector<std::int32_t> in;
  std::vector<std::int32_t> out;
  for (const std::int64_t window : windows) {
    const auto begin = ids.begin() + window * seq_len;
    in.insert(in.end(), begin, begin + tokens);
    out.insert(out.end(), begin + 1, begin + tokens + 1);
  }
  StageInput input;
  input.batch = static_cast<std::int64_t>(windows.size());
  input.tokens = tokens;
  input.token_ids = core::Tensor::of_ints({input.batch * tokens}, in);
  input.targets = core::Tensor::of_ints({input.batch * tokens}, out);
  return input;
}

}  // namespace

Evaluation evaluate(const Options& options, const std::shared_ptr<Params>& params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len) {
  return evaluate(options, params, ids, seq_len, {{{0, options.num_hidden_layers}}},
                  [](std::int64_t) { return std::size_t{0}; });
}

Evaluation evaluate(const Options& options, const std::shared_ptr<Params>& params,
                    std::span<const std::int32_t> ids, std::int64_t seq_len,
                    const std::vector<LayerRanges>& choices,
                    const std::function<std::size_t(std::int64_t window)>& choose) {
  check(options, ids);
  core::Stream stream;
  const auto predicted = static_cast<std::int64_t>(ids.size()) - 1;
  const std::int64_t tokens_at_once = std::min(kTokensAtOnce, kLogitsAtOnce / options.vocab_size);
  const auto rows_at_once =
      static_cast<std::size_t>(std::max<std::int64_t>(1, tokens_at_once / seq_len));
  const std::int64_t whole = predicted / seq_len;  // windows; one more holds the rest
  std::vector<std::vector<std::int64_t>> windows(choices.size());
  for (std::int64_t w = 0; w * seq_len < predicted; ++w) windows.at(choose(w)).push_back(w);
  Evaluation out;
  for (std::size_t choice = 0; choice < choices.size(); ++choice) {
    if (windows[choice].empty()) continue;
    Chain chain(options, params, choices[choice]);
    std::span<const std::int64_t> left = windows[choice];
    while (!left.empty()) {
      const bool last = left.front() == whole;
      std::size_t count = std::min(rows_at_once, left.size());
      if (!last && left[count - 1] == whole) --count;
      const std::int64_t tokens = last ? predicted - whole * seq_len : seq_len;
      const StageOutput result =
          chain.forward(batch_of(ids, left.first(count), seq_len, tokens), stream);
      out.loss_sum += result.loss_sum;
      out.predicted_tokens += result.loss_tokens;
      left = left.subspan(count);
    }
  }
  return out;
}

}  // namespace rw::model
