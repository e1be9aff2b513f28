// Part of Ropewalk, MIT licence.
// A solution, held against one small problem; one that is read becomes a start of the planner.
#include "fuzz/outcome.h"
#include "pipeline/json_file.h"
#include "planner/problem.h"
#include "planner/solution.h"

namespace {

constexpr const char* kProblem = R"({"format": "ropewalk-problem/1",
  "nodes": [{"forward_s": 1, "memory_micro_batches": 2}, {"forward_s": 1.5, "memory_micro_batches": 2},
            {"forward_s": 2, "memory_micro_batches": 2}, {"forward_s": 2.5, "memory_micro_batches": 2}],
  "transfer_s": [[0, 0.5, 0.5, 0.5], [0.5, 0, 0.5, 0.5], [0.5, 0.5, 0, 0.5], [0.5, 0.5, 0.5, 0]],
  "backward_factor": 2, "loss_factor": 0.25, "gap_s": 0.1, "gap_first_forward_s": 0.05,
  "stage_sizes": [2, 1, 1], "path_length": 2, "micro_batches_per_source": 2,
  "rules": {"max_swaps": 1, "max_jump": 2, "stage_quota": 3}})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  static const planner::Problem problem =
      planner::problem_from_json(core::Json::parse(kProblem), "problem.json");
  static const fuzz::ScratchFile file("solution.json");
  file.put(fuzz::text_of(data, size));
  return fuzz::taken_or_refused([&] {
    const auto json = pipeline::read_json("solution", file.path());
    planner::draft_of(problem, planner::solution_from_json(json, problem, file.path()));
  });
}
