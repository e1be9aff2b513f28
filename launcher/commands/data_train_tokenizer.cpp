// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_train_tokenizer.h"

#include <fmt/format.h>

#include <iostream>

#include "core/log.h"
#include "data/text_source.h"
#include "data/tokenizer_trainer.h"
#include "store/posix.h"

namespace rw::launcher {

int run_data_train_tokenizer(const DataTrainTokenizerOptions& options) {
  data::TokenizerTrainer trainer;
  data::TextRules rules;
  rules.raw = options.raw;
  data::TextSource source(data::list_text_files(options.files, {options.out}), rules);
  std::int64_t replaced = 0;
  std::string text;  // of one document, not counted yet
  while (auto document = source.next()) {
    const bool more = document->more;
    text += data::document_text(std::move(*document), rules, replaced);
    if (more) {
      text.erase(0, trainer.add_front(text));
    } else {
      trainer.add(text);
      text.clear();
    }
  }
  const auto bpe = trainer.train(options.vocab_size);
  if (static_cast<std::int64_t>(bpe.tokens.size()) < options.vocab_size) {
    core::log_warning(
        fmt::format("train-tokenizer: no pair is left to merge: got {} entries, "
                    "wanted {}; give more text",
                    bpe.tokens.size(), options.vocab_size));
  }
  store::write_whole(*store::make_posix(), options.out, data::export_bpe(bpe));
  std::cout << fmt::format("{}: {} entries\n", options.out, bpe.tokens.size());
  return 0;
}

}  // namespace rw::launcher
