// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <string>

#include "data/tokenizer.h"

namespace rw::data {

/// Byte-level BPE from a tokenizer.json; tokenizer_from_json says what is refused. Per text: added
/// tokens, normal form, added tokens of normalised text, pre-tokenizer, merges. About 5 MB/s on one core.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const std::string& json, const std::string& where);

}  // namespace rw::data
