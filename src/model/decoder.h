// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "kernels/decode/decode.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::model {

struct DecoderOptions {
  std::int64_t sequences = 1;               // that are decoded side by side
  std::int64_t max_tokens = 0;              // of each of them, prompt and new ones
  core::DType weights = core::DType::kF32;  // matrices are held as f32 or bf16
  core::DType cache = core::DType::kF32;    // keys and values too; the rest is f32
};

/// New tokens of one sequence: a whole prompt, or the one token chosen last.
struct Piece {
  std::int64_t sequence = 0;
  std::span<const std::int32_t> ids;
};

/// Decoding of several sequences with a cache of keys and values: every token passes each layer
/// once, and each weight is read once for all sequences. What follows a token depends on its own
/// sequence alone, to the bit: not on the others, nor on the pieces that its tokens came in.
class Decoder {
 public:
  /// `params` holds the whole model; f32 weights are shared with it and kept alive, bf16 weights are
  /// a copy, so `params` may go afterwards. The caches take 8 (bf16: 4) · sequences · layers ·
  /// max_tokens · Hkv · Dh bytes.
  Decoder(const Options& options, const Params& params, const DecoderOptions& how,
          core::Device device = {});
  /// Appends tokens, each sequence at most once a call; returns the logits [pieces, V] that follow
  /// the last one of each piece, valid until the next call. Throws Error{kShape}, and changes
  /// nothing, when a piece is empty, a cache is full, or an id is not in the vocabulary. Allocates
  /// nothing after the first call with as many pieces.
  core::Tensor feed(std::span<const Piece> pieces);
  /// Empties a sequence, so that another may take its place.
  void forget(std::int64_t sequence);
  /// Bytes of weights that one step reads.
  std::int64_t weight_bytes() const;

 private:
  void check(std::span<const Piece> pieces) const;
  void flush();

  Options options_;
  std::int64_t max_tokens_;
  core::Stream stream_;
  kernels::DecodeModel model_;
  kernels::DecodeScratch scratch_;
  std::vector<std::int64_t> past_;        // tokens in each sequence's cache
  std::vector<kernels::DecodeRow> rows_;  // that wait for flush()
  std::int64_t answered_ = 0;             // rows of logits_ that this call has filled
  core::Tensor logits_;                   // [most pieces so far, V]
};

}  // namespace rw::model
