// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_decode.h"

#include <algorithm>
#include <iostream>

#include "data/text_source.h"
#include "data/tokenizer.h"
#include "launcher/load_model.h"

namespace rw::launcher {

int run_data_decode(const DataDecodeOptions& options) {
  const auto tokenizer = data::load_tokenizer(options.tokenizer);
  data::TextRules rules;  // ids, whatever the file is named
  rules.any_bytes = rules.raw = true;
  std::string text = data::read_text_file(options.ids_file, rules);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[' && text[last] == ']') {
    text[first] = text[last] = ' ';  // what `data encode --json` prints
    std::replace(text.begin(), text.end(), ',', ' ');
  }
  std::cout << tokenizer->decode(parse_ids(text, options.ids_file)) << std::flush;
  return 0;
}

}  // namespace rw::launcher
