// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "recipe/recipe.h"

namespace rw::recipe::test {

/// A whole good recipe; the numbers of its lines are those of the tests.
inline std::string good_recipe() {
  return "method: pipeline\n"                                           // 1
         "output_dir: runs/x\n"                                         // 2
         "model:\n"                                                     // 3
         "  hidden_size: 64\n"                                          // 4
         "  num_hidden_layers: 4\n"                                     // 5
         "  num_attention_heads: 4\n"                                   // 6
         "  vocab_size: 300\n"                                          // 7
         "train: {seq_len: 32, global_batch_size: 8, max_steps: 20}\n"  // 8
         "optimizer:\n"                                                 // 9
         "  lr: 0.001\n"                                                // 10
         "data:\n"                                                      // 11
         "  sources:\n"                                                 // 12
         "    - path: c.h5\n";                                          // 13
}

inline Loaded read(const std::string& yaml, const std::vector<std::string>& overrides = {},
                   const Facts& facts = {}) {
  return load_text(yaml, "r.yaml", overrides, facts);
}

/// The good recipe and more lines below it.
inline Loaded with(const std::string& more, const std::vector<std::string>& overrides = {},
                   const Facts& facts = {}) {
  return read(good_recipe() + more, overrides, facts);
}

/// All complaints, one per line, first lines only: "r.yaml:4:3: key: message".
inline std::vector<std::string> heads(const Loaded& loaded) {
  std::vector<std::string> out;
  for (const auto& text : loaded.complaints) out.push_back(text.substr(0, text.find('\n')));
  return out;
}

/// The only complaint's head, or all of them in one text.
inline std::string only(const Loaded& loaded) {
  std::string out;
  for (const auto& head : heads(loaded)) out += (out.empty() ? "" : " | ") + head;
  return out;
}

}  // namespace rw::recipe::test
