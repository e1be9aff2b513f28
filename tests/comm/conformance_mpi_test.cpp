// Part of Ropewalk, MIT licence.
#include "comm/session.h"
#include "tests/comm/conformance.h"

namespace rw::comm::conformance {

/// MPI for the whole program. Chunks are short, so that messages travel in pieces; a rank that fails
/// lets the others wait for a while only.
class MpiEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    constexpr std::size_t kChunkBytes = 64 << 10;
    session_ = std::make_unique<MpiSession>(kChunkBytes);
    session_->world().set_peer_timeout(30);
  }
  void TearDown() override { session_.reset(); }
  MpiSession& session() { return *session_; }

 private:
  std::unique_ptr<MpiSession> session_;
};

// gtest owns it.
MpiEnvironment& environment() {
  static auto& made = *static_cast<MpiEnvironment*>(
      ::testing::AddGlobalTestEnvironment(std::make_unique<MpiEnvironment>().release()));
  return made;
}
const MpiEnvironment& kRegistered = environment();

void on_this_rank(const Body& body) { body(environment().session().world()); }

INSTANTIATE_TEST_SUITE_P(Mpi, ConformanceTest, ::testing::Values(Group{"mpi", on_this_rank}),
                         [](const auto& group) { return group.param.name; });

TEST(SessionTest, TheWorldIsWhatTheLauncherSays) {
  const auto place =
      launcher_rank([](const char* name) -> const char* { return std::getenv(name); });
  ASSERT_TRUE(place.has_value());
  const auto& world = environment().session().world();
  EXPECT_EQ(world.rank(), place->rank);
  EXPECT_EQ(world.size(), place->size);
  EXPECT_LT(place->local_rank, place->local_size);
}

TEST(SessionTest, KnowsItsHost) {
  EXPECT_FALSE(environment().session().host().empty());
  EXPECT_EQ(environment().session().host().find('\0'), std::string::npos);
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
