// Part of Ropewalk, MIT licence.
#pragma once
#include <span>
#include <vector>

#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// One layer of a LLaMA or Qwen3 model and its share of the cache. Matrices and cache are f32 or bf16,
/// all else is f32.
struct DecodeLayer {
  Tensor input_norm;      // [D]
  Tensor qkv;             // [(H + 2·Hkv)·Dh, D]
  Tensor q_norm, k_norm;  // [Dh], both undefined without QK-norm
  Tensor o;               // [D, H·Dh]
  Tensor post_norm;       // [D]
  Tensor gate_up;         // [2F, D]: the gate's rows, then up's
  Tensor down;            // [D, F]
  Tensor keys, values;    // [S, Hkv, P, Dh], both f32 or bf16: S sequences of up to P positions
};

struct DecodeModel {
  Tensor embedding;  // [V, D]
  std::vector<DecodeLayer> layers;
  Tensor final_norm;  // [D]
  Tensor head;        // [V, D], may be `embedding`
  Tensor cos, sin;    // [P, Dh/2], see rope()
  float eps = 0;
};

/// A token of one sequence. The cache holds that sequence's positions [0, position), or tokens before
/// it in the same call do.
struct DecodeRow {
  std::int32_t token_id = 0;
  std::int32_t sequence = 0;
  std::int32_t position = 0;
  bool wants_logits = false;
};

/// Memory that decode() works in, kept from call to call: it allocates nothing itself. Shapes are sizes: the
/// parts of delta, qkv and gate_up that are one thread's lie together, with strides of their own.
struct DecodeScratch {
  /// For up to `rows` rows a call and as many threads as kernels use now.
  DecodeScratch(const DecodeModel& model, std::int64_t rows);
  Tensor x, delta;  // [rows, D]
  Tensor normed;    // [threads, rows, D]
  Tensor qkv;       // [rows, (H + 2·Hkv)·Dh]
  Tensor attended;  // [rows, H·Dh]
  Tensor gate_up;   // [rows, 2F]
  Tensor inside;    // [rows, F], of the MLP
  Tensor scores;    // [threads, H / Hkv, P], P up to whole cache lines
};

/// Takes tokens through the whole model: each weight is read once for all rows, keys and values go
/// into the cache, then each row attends to its sequence's positions up to its own.
///
///   logits  [L, V] f32, L = the rows that want them, in order; may be undefined when L = 0
///   done    on return on the CPU: one parallel region, its threads wait for each other in between
///   throws  Error{kShape} on any mismatch of shapes, on a token outside [0, V), a sequence outside
///           [0, S) or a position outside [0, P), before anything runs; Error{kDevice} on a device
///           without a twin
///   bits    of a row's logits depend on its sequence's tokens and on the instruction set: not on
///           the other rows, the calls that its tokens came in, or the number of threads
///   cost    bytes of all weights / read bandwidth for few rows
void decode(const DecodeModel& model, std::span<const DecodeRow> rows, DecodeScratch& scratch,
            Tensor& logits, Stream& stream);

}  // namespace rw::kernels
