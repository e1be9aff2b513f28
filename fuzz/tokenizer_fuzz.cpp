// Part of Ropewalk, MIT licence.
// tokenizer.json; what is read must encode and decode.
#include "data/tokenizer.h"
#include "fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return rw::fuzz::taken_or_refused([&] {
    const auto tokenizer =
        rw::data::tokenizer_from_json(rw::fuzz::text_of(data, size), "tokenizer.json");
    tokenizer->special_tokens();
    tokenizer->decode(tokenizer->encode("Ropes 12345 don't\n\n  walk <|endoftext|>\xC3\xA9\u0301"));
  });
}
