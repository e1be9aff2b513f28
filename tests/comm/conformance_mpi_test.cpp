// Part of Ropewalk, MIT licence.
#include "comm/session.h"
#include "core/arena.h"
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
  EXPECT_FALSE(host_name().empty());
  EXPECT_EQ(host_name().find('\0'), std::string::npos);
}

/// What the ranks send for one call, all of them together.
double sent_by(const std::function<Ticket()>& call) {
  const auto& session = test::mpi_session();
  const auto before = session.bytes_sent();
  call().wait();
  std::vector<double> sent{static_cast<double>(session.bytes_sent() - before)};
  test::mpi_session().world().all_reduce_sum(sent).wait();
  return sent[0];
}

TEST(SessionTest, ABf16WireTakesHalfTheBytes) {
  auto& world = test::mpi_session().world();
  const std::int64_t n = 100001;
  const auto others = static_cast<double>(world.size() - 1);
  for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
    const double bytes = wire == Wire::kF32 ? 4 : 2;
    Tensor tensor = floats(awkward(world.rank(), n));
    EXPECT_EQ(sent_by([&] { return world.all_reduce_sum(tensor, wire); }),
              2 * others * bytes * static_cast<double>(n));
    std::vector<Tensor> parts;
    for (int r = 0; r < world.size(); ++r) parts.push_back(tensor.flat(1000L * r, 1000L * r + 999));
    const double all = 999.0 * world.size();
    EXPECT_EQ(sent_by([&] { return world.reduce_scatter_sum(parts, wire); }), others * bytes * all);
    EXPECT_EQ(sent_by([&] { return world.all_gather_parts(parts); }), others * 4 * all);
    Tensor few = tensor.flat(0, 10);  // to everybody at once
    EXPECT_EQ(sent_by([&] { return world.all_reduce_sum(few, wire); }),
              others * world.size() * bytes * 10);
  }
}

TEST(SessionTest, SumsUseTheirScratchAgain) {
  auto& world = test::mpi_session().world();
  Tensor tensor = floats(awkward(world.rank(), 300001));
  const auto sums = [&] {
    for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
      std::vector<Tensor> parts;
      for (int r = 0; r < world.size(); ++r) {
        parts.push_back(tensor.flat(70000L * r, 70000L * r + 70000));
      }
      world.all_reduce_sum(tensor, wire).wait();
      world.reduce_scatter_sum(parts, wire).wait();
      world.all_gather_parts(parts).wait();
    }
    world.barrier().wait();
  };
  sums();
  const auto before = core::host_memory().system_allocations;
  for (int i = 0; i < 3; ++i) sums();
  EXPECT_EQ(core::host_memory().system_allocations, before);
}

/// At most four move at a time.
TEST(SessionTest, GathersCalledFirstAreDoneFirst) {
  auto& world = test::mpi_session().world();
  constexpr std::int64_t kPart = 60000;
  constexpr std::size_t kCalls = 12;
  std::vector<Tensor> tensors;
  std::vector<Ticket> tickets;
  for (std::size_t i = 0; i < kCalls; ++i) {
    tensors.push_back(Tensor::zeros({kPart * world.size()}));
    Tensor mine = tensors.back().flat(kPart * world.rank(), kPart * (world.rank() + 1));
    for (std::int64_t j = 0; j < kPart; ++j) {
      mine.data<float>()[j] = static_cast<float>(world.rank() + 1 + static_cast<int>(i));
    }
    std::vector<Tensor> parts;
    for (int r = 0; r < world.size(); ++r) {
      parts.push_back(tensors.back().flat(kPart * r, kPart * (r + 1)));
    }
    tickets.push_back(world.all_gather_parts(parts));
  }
  for (bool all = false; !all;) {
    all = true;
    for (std::size_t i = kCalls; i-- > 0;) {
      if (!tickets[i].done()) {
        all = false;
      } else if (i >= 4) {
        EXPECT_TRUE(tickets[i - 4].done()) << i;
      }
    }
  }
  for (std::size_t i = 0; i < kCalls; ++i) {
    for (int r = 0; r < world.size(); ++r) {
      EXPECT_EQ(tensors[i].data<float>()[kPart * (r + 1) - 1],
                static_cast<float>(r + 1 + static_cast<int>(i)));
    }
  }
  world.barrier().wait();
}

/// All messages are asked about together: what is wrong with one is told to its receiver alone.
TEST(SessionTest, AMessageThatDoesNotFitFailsAlone) {
  auto& world = test::mpi_session().world();
  const int last = world.size() - 1;
  constexpr int kShort = 11, kLong = 12, kGood = 13;
  if (world.rank() == 0) {
    const Tensor four = Tensor::of({4}, {1, 2, 3, 4});
    for (const int tag : {kShort, kLong, kGood}) world.send(four, last, tag).wait();
  }
  if (world.rank() == last) {
    Tensor more = Tensor::zeros({5});
    Tensor fewer = Tensor::zeros({3});
    Tensor fits = Tensor::zeros({4});
    Ticket shorter = world.receive(more, 0, kShort);
    Ticket longer = world.receive(fewer, 0, kLong);
    Ticket good = world.receive(fits, 0, kGood);
    auto error = error_of([&] { shorter.wait(); });
    EXPECT_EQ(error.kind(), ErrorKind::kComm);
    EXPECT_THAT(error.what(), HasSubstr("receive from rank 0, tag 11: message from rank 0: got 16 "
                                        "bytes, want 20"));
    error = error_of([&] { longer.wait(); });
    EXPECT_EQ(error.kind(), ErrorKind::kComm);
    EXPECT_THAT(error.what(), HasSubstr("receive from rank 0, tag 12: receive from rank 0: "));
    EXPECT_THAT(error.what(), HasSubstr("TRUNCATE"));
    good.wait();
    EXPECT_EQ(core::to_floats(fits), (std::vector<float>{1, 2, 3, 4}));
  }
  world.barrier().wait();
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
