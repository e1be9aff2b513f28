// Part of Ropewalk, MIT licence.
// config.json of a Hugging Face folder.
#include "fuzz/outcome.h"
#include "model/hf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return rw::fuzz::taken_or_refused(
      [&] { rw::model::parse_hf_config(rw::fuzz::text_of(data, size), "config.json"); });
}
