// Part of Ropewalk, MIT licence.
// A recipe; lines behind one that begins with `%%%` are overrides.
#include <sstream>
#include <vector>

#include "fuzz/outcome.h"
#include "recipe/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return rw::fuzz::taken_or_refused([&] {
    std::istringstream lines(rw::fuzz::text_of(data, size));
    std::string yaml;
    std::vector<std::string> overrides;
    bool behind = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("%%%")) {
        behind = true;
      } else if (behind) {
        overrides.push_back(line);
      } else {
        yaml += line + "\n";
      }
    }
    const auto loaded = rw::recipe::load_text(yaml, "recipe.yaml", overrides);
    if (loaded.complaints.empty()) rw::recipe::load_text(loaded.resolved_text, "again.yaml");
  });
}
