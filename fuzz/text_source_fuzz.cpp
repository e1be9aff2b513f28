// Part of Ropewalk, MIT licence.
// Text, JSON lines and gzip, as `data build` takes them. The first byte chooses the kind of file.
#include <array>

#include "data/text_source.h"
#include "fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  if (size == 0) return 0;
  static const std::array<fuzz::ScratchFile, 3> files{
      fuzz::ScratchFile("a.txt"), fuzz::ScratchFile("a.jsonl"), fuzz::ScratchFile("a.json")};
  const auto& file = files.at(data[0] % files.size());
  file.put(fuzz::text_of(data + 1, size - 1));
  return fuzz::taken_or_refused([&] {
    data::TextSource source(data::list_text_files({file.path()}, {}));
    data::TextRules rules;
    rules.replace_invalid = data[0] >= 128;
    std::int64_t replaced = 0;
    while (auto document = source.next()) {
      fuzz::taken_or_refused([&] { data::document_text(std::move(*document), rules, replaced); });
    }
  });
}
