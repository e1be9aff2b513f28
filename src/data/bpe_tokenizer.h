// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <string>

#include "data/tokenizer.h"

namespace rw::data {

/// Byte-level BPE from a tokenizer.json; tokenizer_from_json says what is refused. Per text: added
/// tokens, NFC, added tokens of normalised text, split patterns, merges. About 5 MB/s on one core.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const std::string& json, const std::string& where);

/// Canonical composition (NFC) of valid UTF-8.
std::string compose_nfc(std::string_view text);

}  // namespace rw::data
