// Part of Ropewalk, MIT licence.
#include "comm/session.h"
#include "tests/comm/conformance.h"
#include "tests/comm/mpi_environment.h"

namespace rw::comm::conformance {

void on_this_rank(const Body& body) { body(test::mpi_session().world()); }

INSTANTIATE_TEST_SUITE_P(Mpi, ConformanceTest, ::testing::Values(Group{"mpi", on_this_rank}),
                         [](const auto& group) { return group.param.name; });

TEST(SessionTest, TheWorldIsWhatTheLauncherSays) {
  const auto place =
      launcher_rank([](const char* name) -> const char* { return std::getenv(name); });
  ASSERT_TRUE(place.has_value());
  const auto& world = test::mpi_session().world();
  EXPECT_EQ(world.rank(), place->rank);
  EXPECT_EQ(world.size(), place->size);
  EXPECT_LT(place->local_rank, place->local_size);
}

TEST(SessionTest, KnowsItsHost) {
  EXPECT_FALSE(test::mpi_session().host().empty());
  EXPECT_EQ(test::mpi_session().host().find('\0'), std::string::npos);
}

TEST(SessionTest, RefusesASecondOne) {
  const auto error = error_of([] { const MpiSession second; });
  EXPECT_EQ(error.kind(), ErrorKind::kBug);
  EXPECT_THAT(error.what(), HasSubstr("second one"));
}

TEST(SessionTest, RefusesChunksThatMpiCannotCount) {
  const auto error = error_of([] { const MpiSession wide(std::size_t{1} << 31); });
  EXPECT_THAT(error.what(), HasSubstr("got chunks of 2147483648 bytes"));
}

}  // namespace rw::comm::conformance
