// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_encode.h"

#include <iostream>

#include "data/text_source.h"
#include "data/tokenizer.h"

namespace rw::launcher {

int run_data_encode(const DataEncodeOptions& options) {
  const auto tokenizer = data::load_tokenizer(options.tokenizer);
  data::TextRules rules;
  rules.any_bytes = tokenizer->takes_any_bytes();
  rules.raw = options.raw;
  const std::string text = data::read_text_file(options.file, rules);
  std::string out = options.json ? "[" : "";
  bool first = true;
  for (const auto id : tokenizer->encode(text)) {
    if (!first) out += options.json ? ", " : " ";
    out += std::to_string(id);
    first = false;
  }
  std::cout << out << (options.json ? "]\n" : "\n");
  return 0;
}

}  // namespace rw::launcher
