// Part of Ropewalk, MIT licence.
#include "model/flops.h"

namespace rw::model {

double flops_per_token(const Options& options, std::int64_t seq_len) {
  const auto hidden = static_cast<double>(options.hidden_size);
  const auto heads = static_cast<double>(options.num_attention_heads * options.head_dim);
  const auto kv = static_cast<double>(options.num_key_value_heads * options.head_dim);
  const auto layers = static_cast<double>(options.num_hidden_layers);
  const double attention = hidden * (heads + 2 * kv) + heads * hidden;
  const double mlp = 3 * hidden * static_cast<double>(options.intermediate_size);
  const double head = hidden * static_cast<double>(options.vocab_size);
  // Scores and weighted values: 2 products of 2·Dh·(T + 1)/2 each, times 3 for forward + backward.
  const double scores = 6 * heads * static_cast<double>(seq_len + 1);
  return 6 * (layers * (attention + mlp) + head) + layers * scores;
}

}  // namespace rw::model
