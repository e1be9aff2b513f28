// Part of Ropewalk, MIT licence.
#include "kernels/decode/decode.h"

#include <string>

#include "kernels/check.h"
#include "kernels/decode/twins.h"
#include "kernels/threads.h"

namespace rw::kernels {
namespace {

const char* const kOp = "decode";

struct Sizes {
  explicit Sizes(const DecodeModel& model) {
    if (model.layers.empty()) refuse(kOp, "no layers", "at least one");
    const DecodeLayer& first = model.layers.front();
    require_rank(kOp, "embedding", model.embedding, 2);
    require_rank(kOp, "keys", first.keys, 4);
    require_rank(kOp, "o", first.o, 2);
    require_rank(kOp, "down", first.down, 2);
    const core::Shape& cache = first.keys.shape();
    vocab = model.embedding.shape()[0];
    hidden = model.embedding.shape()[1];
    sequences = cache[0];
    kv_heads = cache[1];
    positions = cache[2];
    head_dim = cache[3];
    attended = first.o.shape()[1];
    inner = first.down.shape()[1];
    if (inner < 1) refuse(kOp, "down " + first.down.text(), "at least one column");
    group = attended / (kv_heads * head_dim);
    if (group < 1 || attended != group * kv_heads * head_dim) {
      refuse(kOp, "o " + first.o.text() + " with keys " + first.keys.text(),
             "a multiple of Hkv · Dh columns");
    }
  }
  std::int64_t qkv() const { return attended + 2 * kv_heads * head_dim; }
  /// Positions, and as many more as keep two threads' scores on cache lines of their own.
  std::int64_t scores() const { return (positions + 15) / 16 * 16; }

  std::int64_t vocab, hidden, sequences, kv_heads, positions, head_dim, attended, inner, group;
};

void require_layer(const DecodeLayer& layer, const Sizes& by, Stream& stream) {
  const core::Shape cache{by.sequences, by.kv_heads, by.positions, by.head_dim};
  require_arguments(
      kOp, stream,
      {{"input_norm", &layer.input_norm, {by.hidden}},
       {"qkv", &layer.qkv, {by.qkv(), by.hidden}, float_dtype(kOp, "qkv", layer.qkv)},
       {"o", &layer.o, {by.hidden, by.attended}, float_dtype(kOp, "o", layer.o)},
       {"post_norm", &layer.post_norm, {by.hidden}},
       {"gate_up",
        &layer.gate_up,
        {2 * by.inner, by.hidden},
        float_dtype(kOp, "gate_up", layer.gate_up)},
       {"down", &layer.down, {by.hidden, by.inner}, float_dtype(kOp, "down", layer.down)},
       {"keys", &layer.keys, cache, float_dtype(kOp, "keys", layer.keys)},
       {"values", &layer.values, cache, layer.keys.dtype()}});
  if (layer.q_norm.defined() || layer.k_norm.defined()) {
    require_arguments(
        kOp, stream,
        {{"q_norm", &layer.q_norm, {by.head_dim}}, {"k_norm", &layer.k_norm, {by.head_dim}}});
  }
}

void require_scratch(const DecodeScratch& scratch, const Sizes& by, Stream& stream) {
  require_rank(kOp, "scratch x", scratch.x, 2);
  require_rank(kOp, "scratch scores", scratch.scores, 3);
  const std::int64_t rows = scratch.x.shape()[0];
  require_arguments(
      kOp, stream,
      {{"scratch x", &scratch.x, {rows, by.hidden}},
       {"scratch delta", &scratch.delta, {rows, by.hidden}},
       {"scratch normed", &scratch.normed, {scratch.scores.shape()[0], rows, by.hidden}},
       {"scratch qkv", &scratch.qkv, {rows, by.qkv()}},
       {"scratch attended", &scratch.attended, {rows, by.attended}},
       {"scratch gate_up", &scratch.gate_up, {rows, 2 * by.inner}},
       {"scratch inside", &scratch.inside, {rows, by.inner}},
       {"scratch scores", &scratch.scores, {scratch.scores.shape()[0], by.group, by.scores()}}});
}

void require_below(const char* what, std::int64_t got, std::int64_t limit, std::size_t row) {
  if (got >= 0 && got < limit) return;
  refuse(kOp, std::string(what) + " " + std::to_string(got) + " at " + std::to_string(row),
         "0 to " + std::to_string(limit - 1));
}

/// Returns how many of the rows want logits.
std::int64_t require_rows(std::span<const DecodeRow> rows, const Sizes& by, std::int64_t room) {
  const auto count = static_cast<std::int64_t>(rows.size());
  if (count < 1 || count > room) {
    refuse(kOp, std::to_string(count) + " rows",
           "1 to " + std::to_string(room) + ", the rows of the scratch memory");
  }
  std::int64_t wanted = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    require_below("token", rows[i].token_id, by.vocab, i);
    require_below("sequence", rows[i].sequence, by.sequences, i);
    require_below("position", rows[i].position, by.positions, i);
    wanted += rows[i].wants_logits ? 1 : 0;
  }
  return wanted;
}

}  // namespace

DecodeScratch::DecodeScratch(const DecodeModel& model, std::int64_t rows) {
  const Sizes by(model);
  const core::Device device = model.embedding.device();
  const auto room = [&](const core::Shape& shape) {
    return Tensor::empty(shape, core::DType::kF32, device);
  };
  x = room({rows, by.hidden});
  delta = room({rows, by.hidden});
  normed = room({threads(), rows, by.hidden});
  qkv = room({rows, by.qkv()});
  attended = room({rows, by.attended});
  gate_up = room({rows, 2 * by.inner});
  inside = room({rows, by.inner});
  scores = room({threads(), by.group, by.scores()});
}

void decode(const DecodeModel& model, std::span<const DecodeRow> rows, DecodeScratch& scratch,
            Tensor& logits, Stream& stream) {
  const Sizes by(model);
  require_arguments(
      kOp, stream,
      {{"embedding",
        &model.embedding,
        {by.vocab, by.hidden},
        float_dtype(kOp, "embedding", model.embedding)},
       {"final_norm", &model.final_norm, {by.hidden}},
       {"head", &model.head, {by.vocab, by.hidden}, float_dtype(kOp, "head", model.head)},
       {"cos", &model.cos, {by.positions, by.head_dim / 2}},
       {"sin", &model.sin, {by.positions, by.head_dim / 2}}});
  for (const DecodeLayer& layer : model.layers) require_layer(layer, by, stream);
  require_scratch(scratch, by, stream);
  const std::int64_t wanted = require_rows(rows, by, scratch.x.shape()[0]);
  if (wanted > 0) require_arguments(kOp, stream, {{"logits", &logits, {wanted, by.vocab}}});
  core::twins<DecodeTwins>(model.embedding.device()).decode(model, rows, scratch, logits, stream);
}

}  // namespace rw::kernels
