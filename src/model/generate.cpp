// Part of Ropewalk, MIT licence.
#include "model/generate.h"

#include <algorithm>

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
        out_(prompts.size()) {
    for (auto& ids : out_) ids.reserve(static_cast<std::size_t>(how.max_new_tokens));
  }

  std::vector<std::vector<std::int32_t>> run(std::int64_t sequences) {
    for (std::int64_t i = 0; i < sequences; ++i) admit(i);
    while (!running_.empty()) {
      pieces_.clear();
      for (const Running& one : running_) pieces_.push_back({one.sequence, fresh(one.prompt)});
      const core::Tensor logits = decoder_.feed(pieces_);
      take(logits);
    }
    return std::move(out_);
  }

 private:
  struct Running {
    std::int64_t sequence;
    std::size_t prompt;
  };

  void admit(std::int64_t sequence) {
    if (waiting_ == prompts_.size()) return;
    decoder_.forget(sequence);
    running_.push_back({sequence, waiting_++});
  }

  /// What the decoder has not seen of a prompt and what followed it.
  std::span<const std::int32_t> fresh(std::size_t prompt) const {
    const auto& ids = out_[prompt];
    if (ids.empty()) return prompts_[prompt];
    return std::span(ids).last(1);
  }

  void take(const core::Tensor& logits) {
    const auto vocab = static_cast<std::size_t>(logits.shape()[1]);
    host_.resize(static_cast<std::size_t>(logits.elems()));
    core::copy_to_host(logits, host_.data(), logits.bytes());
    const std::size_t count = running_.size();
    for (std::size_t i = 0; i < count; ++i) {
      auto& ids = out_[running_[i].prompt];
      const std::int32_t id = sampler_.pick(std::span(host_).subspan(i * vocab, vocab),
                                            static_cast<std::int64_t>(ids.size()));
      ids.push_back(id);
      if (on_token_) on_token_(running_[i].prompt, id);
    }
    for (std::size_t i = count; i-- > 0;) {
      if (!ended(out_[running_[i].prompt])) continue;
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
  std::size_t waiting_ = 0;  // the next prompt to come in
};

}  // namespace

std::vector<std::vector<std::int32_t>> generate(const Options& options,
                                                std::shared_ptr<const Params> params,
                                                std::span<const std::vector<std::int32_t>> prompts,
                                                const GenerateOptions& how,
                                                const OnToken& on_token) {
  if (how.max_new_tokens <= 0 || prompts.empty()) {
    return std::vector<std::vector<std::int32_t>>(prompts.size());
  }
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  DecoderOptions shape;
  shape.sequences =
      std::clamp<std::int64_t>(how.sequences_at_once, 1, static_cast<std::int64_t>(prompts.size()));
  shape.max_tokens = static_cast<std::int64_t>(longest) + how.max_new_tokens;
  shape.weights = shape.cache = how.weights;
  Decoder decoder(options, *params, shape);
  params.reset();
  return Generation(decoder, prompts, how, on_token).run(shape.sequences);
}

}  // namespace rw::model
