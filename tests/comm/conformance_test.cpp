// Part of Ropewalk, MIT licence.
#include "tests/comm/conformance.h"

#include "comm/local.h"
#include "comm/threads.h"

namespace rw::comm::conformance {

Group threads(int ranks) {
  return {"threads" + std::to_string(ranks),
          [ranks](const Body& body) { run_threads(ranks, body); }};
}

INSTANTIATE_TEST_SUITE_P(
    Here, ConformanceTest,
    ::testing::Values(Group{"local", [](const Body& body) { body(*make_local()); }}, threads(1),
                      threads(2), threads(3), threads(4), threads(8)),
    [](const auto& group) { return group.param.name; });

}  // namespace rw::comm::conformance
