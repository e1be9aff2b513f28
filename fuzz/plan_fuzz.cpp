// Part of Ropewalk, MIT licence.
// A plan; one that is read is proved sound, or refused.
#include "fuzz/outcome.h"
#include "pipeline/json_file.h"
#include "pipeline/plan.h"
#include "pipeline/plan_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  static const fuzz::ScratchFile file("plan.json");
  file.put(fuzz::text_of(data, size));
  return fuzz::taken_or_refused([&] {
    const auto json = pipeline::read_json("pipeline.plan", file.path());
    const auto plan = pipeline::plan_from_json(json, file.path());
    pipeline::require_sound(plan);
  });
}
