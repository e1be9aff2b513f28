// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "core/json_field.h"
#include "data/pre_tokenizer.h"
#include "data/text_normalizer.h"

namespace rw::data {

/// Refuses a value that the `tokenizers` package takes and this version does not.
[[noreturn]] void unsupported(const core::JsonField& field, const std::string& want);

/// Refuses what is no tokenizer.json of the `tokenizers` package, and says what it seems to be:
/// Error{kDataMalformed}, beginning with `where`. By its first bytes, then by its root.
void require_json_text(const std::string& text, const std::string& where);
void require_tokenizer_file(const core::JsonField& root);

/// The parts of a tokenizer.json around its model, each null or absent or an object. What is of a
/// wrong type, unknown to the package or unknown to us: Error{kDataMalformed} at its key.
std::vector<NormalForm> read_normalizer(const core::JsonField& root);
std::vector<PreTokenizerStep> read_pre_tokenizer(const core::JsonField& root);
void check_decoder(const core::JsonField& root);
/// Not applied; only its types are looked at.
void check_post_processor(const core::JsonField& root);

}  // namespace rw::data
