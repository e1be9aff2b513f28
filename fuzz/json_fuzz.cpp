// Part of Ropewalk, MIT licence.
// JSON, beside another reader: what ours takes is the same value there; what ours alone refuses, it
// refuses for one of its rules.
#include <array>
#include <cstdlib>
#include <string_view>

#include "core/json_reader.h"
#include "fuzz/outcome.h"

namespace {

constexpr std::array<std::string_view, 4> kOwnRules{"nested more than", "a second time",
                                                    "want one whose size is at most",
                                                    "half of a surrogate pair"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  const std::string text = fuzz::text_of(data, size);
  try {
    const core::Json ours = core::parse_json(text, {"fuzz.json"});
    if (ours != core::Json::parse(text)) std::abort();
  } catch (const core::Error& error) {
    const std::string_view why = error.what();
    for (const auto rule : kOwnRules) {
      if (why.find(rule) != std::string_view::npos) return 0;
    }
    if (core::Json::accept(text)) {
      std::fprintf(stderr, "refused alone: %s\n", error.what());
      std::abort();
    }
  }
  return 0;
}
