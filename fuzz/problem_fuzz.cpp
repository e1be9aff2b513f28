// Part of Ropewalk, MIT licence.
// A problem of the planner.
#include "fuzz/outcome.h"
#include "pipeline/json_file.h"
#include "planner/problem.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  static const fuzz::ScratchFile file("problem.json");
  file.put(fuzz::text_of(data, size));
  return fuzz::taken_or_refused([&] {
    planner::problem_from_json(pipeline::read_json("problem", file.path()), file.path());
  });
}
