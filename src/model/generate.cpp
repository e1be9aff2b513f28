// Part of Ropewalk, MIT licence.
#include "model/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_memory.h"
#include "model/decoder.h"

namespace rw::model {
namespace {

/// The prompts on their way through one decoder.
class Generation {
 public:
  Generation(Decoder& decoder, std::span<const std::vector<std::int32_t>> prompts,
             const GenerateOptions& how, const OnToken& on_token)
      : decoder_(decoder),
        prompts_(prompts),
        how_(how),
        on_token_(on_token),
        sampler_(how.sampling),
        out_(prompts.size() * static_cast<std::size_t>(how.samples)) {}

  std::vector<std::vector<std::int32_t>> run(std::int64_t sequences) {
    for (std::int64_t i = 0; i < sequences; ++i) admit(i);
    while (!running_.empty()) {
      pieces_.clear();
      for (const Running& one : running_) pieces_.push_back({one.sequence, fresh(one.answer)});
      const core::Tensor logits = decoder_.feed(pieces_);
      take(logits);
    }
    return std::move(out_);
  }

 private:
  struct Running {
    std::int64_t sequence;
    std::size_t answer;  // in out_
  };

  std::size_t samples() const { return static_cast<std::size_t>(how_.samples); }

  void admit(std::int64_t sequence) {
    if (waiting_ == out_.size()) return;
    decoder_.forget(sequence);
    out_[waiting_].reserve(static_cast<std::size_t>(how_.max_new_tokens));
    running_.push_back({sequence, waiting_++});
  }

  /// What the decoder has not seen of a prompt and what followed it.
  std::span<const std::int32_t> fresh(std::size_t answer) const {
    const auto& ids = out_[answer];
    if (ids.empty()) return prompts_[answer / samples()];
    return std::span(ids).last(1);
  }

  void take(const core::Tensor& logits) {
    const auto vocab = static_cast<std::size_t>(logits.shape()[1]);
    host_.resize(static_cast<std::size_t>(logits.elems()));
    core::copy_to_host(logits, host_.data(), logits.bytes());
    const std::size_t count = running_.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t answer = running_[i].answer;
      auto& ids = out_[answer];
      const std::int32_t id = sampler_.pick(std::span(host_).subspan(i * vocab, vocab),
                                            static_cast<std::int64_t>(ids.size()),
                                            static_cast<std::uint32_t>(answer % samples()));
      ids.push_back(id);
      if (on_token_) on_token_(answer, id);
    }
    for (std::size_t i = count; i-- > 0;) {
      if (!ended(out_[running_[i].answer])) continue;
      const std::int64_t sequence = running_[i].sequence;
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      admit(sequence);
    }
  }

  bool ended(const std::vector<std::int32_t>& ids) const {
    const auto& stops = how_.stop_ids;
    return static_cast<std::int64_t>(ids.size()) == how_.max_new_tokens ||
           std::find(stops.begin(), stops.end(), ids.back()) != stops.end();
  }

  Decoder& decoder_;
  std::span<const std::vector<std::int32_t>> prompts_;
  const GenerateOptions& how_;
  const OnToken& on_token_;
  Sampler sampler_;
  std::vector<std::vector<std::int32_t>> out_;
  std::vector<Running> running_;
  std::vector<Piece> pieces_;
  std::vector<float> host_;
  std::size_t waiting_ = 0;  // the next answer to begin
};

void require_memory(const Options& options, const DecoderOptions& shape) {
  const auto of = [](std::int64_t count) { return static_cast<double>(count); };
  const double bytes = 2.0 * static_cast<double>(core::dtype_bytes(shape.cache)) *
                       of(shape.sequences) * of(options.num_hidden_layers) * of(shape.max_tokens) *
                       of(options.num_key_value_heads) * of(options.head_dim);
  const double available = core::available_bytes();
  if (available <= 0 || bytes <= available) return;
  throw core::Error(
      core::ErrorKind::kDevice,
      fmt::format("generate: keys and values of {} sequences of up to {} tokens take {} ({:.0f} "
                  "bytes), available are {}; want fewer new tokens, or fewer sequences at once",
                  shape.sequences, shape.max_tokens, core::bytes_text(bytes), bytes,
                  core::bytes_text(available)));
}

}  // namespace

std::vector<std::vector<std::int32_t>> generate(const Options& options,
                                                std::shared_ptr<const Params> params,
                                                std::span<const std::vector<std::int32_t>> prompts,
                                                const GenerateOptions& how,
                                                const OnToken& on_token) {
  const std::size_t answers = prompts.size() * static_cast<std::size_t>(how.samples);
  if (how.max_new_tokens <= 0 || answers == 0) {
    return std::vector<std::vector<std::int32_t>>(answers);
  }
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  DecoderOptions shape;
  shape.sequences =
      std::clamp<std::int64_t>(how.sequences_at_once, 1, static_cast<std::int64_t>(answers));
  shape.max_tokens = static_cast<std::int64_t>(longest) + how.max_new_tokens;
  shape.weights = shape.cache = how.weights;
  require_memory(options, shape);
  Decoder decoder(options, *params, shape);
  params.reset();
  return Generation(decoder, prompts, how, on_token).run(shape.sequences);
}

}  // namespace rw::model
