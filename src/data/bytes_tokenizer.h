// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "data/tokenizer.h"

namespace rw::data {

/// Byte b is id b; 256 is <|endoftext|>, recognised in text as an added token is. Takes any bytes.
/// Its tokenizer.json is a byte-level BPE without merges that gives the same ids elsewhere.
std::unique_ptr<Tokenizer> make_bytes_tokenizer();

}  // namespace rw::data
