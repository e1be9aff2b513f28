// Part of Ropewalk, MIT licence.
#include "comm/faulty.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/local.h"
#include "comm/threads.h"
#include "tests/support/numbers.h"

namespace rw::comm {
namespace {

using core::Tensor;
using test::message_of;
using ::testing::HasSubstr;
using Call = Fault::Call;
using Action = Fault::Action;

TEST(FaultyTest, WithoutFaultsItIsTheOther) {
  const auto world = make_faulty(make_local(), {});
  Tensor x = Tensor::of({1}, {3});
  world->all_reduce_sum(x).wait();
  EXPECT_EQ(core::to_floats(x)[0], 3.0F);
  EXPECT_EQ(world->rank(), 0);
  EXPECT_EQ(world->size(), 1);
  EXPECT_EQ(world->gather_text("a"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(world->duplicate()->size(), 1);
}

TEST(FaultyTest, FailsTheCallOnCueOnly) {
  const auto world = make_faulty(make_local(), {{Call::kBarrier, 1, 2, Action::kFail, 0}});
  world->barrier().wait();
  EXPECT_EQ(message_of([&] { world->barrier().wait(); }), "barrier number 1 on cue failed");
  EXPECT_EQ(message_of([&] { world->barrier().wait(); }), "barrier number 2 on cue failed");
  EXPECT_EQ(message_of([&] { world->barrier().wait(); }), "no error");
}

TEST(FaultyTest, ADroppedSendNeverArrives) {
  const auto world = make_faulty(make_local(), {{Call::kSend, 0, 1, Action::kDrop, 0}});
  EXPECT_TRUE(world->send(Tensor::of({1}, {1}), 0, 0).done());
  world->send(Tensor::of({1}, {2}), 0, 0).wait();
  Tensor in = Tensor::zeros({1});
  world->receive(in, 0, 0).wait();
  EXPECT_EQ(core::to_floats(in)[0], 2.0F);
}

TEST(FaultyTest, ADroppedCollectiveHangsThePeerWithItsName) {
  run_threads(2, [](Communicator& world) {
    std::vector<Fault> faults;
    if (world.rank() == 1) faults.push_back({Call::kAllReduceMax, 0, -1, Action::kDrop, 0});
    const auto own = make_faulty(world.duplicate(), faults);
    own->set_peer_timeout(world.rank() == 0 ? 0.05 : 0);
    std::vector<std::uint64_t> words{1};
    Ticket ticket = own->all_reduce_max(words);
    const auto message = message_of([&] { ticket.wait(); });
    if (world.rank() == 0) {
      EXPECT_THAT(message, HasSubstr("rank 1"));
    }
    if (world.rank() == 1) {
      EXPECT_EQ(message, "no error");
    }
    world.barrier().wait();
  });
}

TEST(FaultyTest, ADelayChangesNoNumber) {
  run_threads(3, [](Communicator& world) {
    const auto own = make_faulty(
        world.duplicate(), {{Call::kAllReduceSum, 0, -1, Action::kDelay, 0.01 * world.rank()}});
    std::vector<double> numbers{1.0 + world.rank()};
    own->all_reduce_sum(numbers).wait();
    EXPECT_EQ(numbers[0], 6.0);
  });
}

TEST(FaultyTest, SumsOfPartsFailOnCueToo) {
  const auto world = make_faulty(make_local(), {{Call::kReduceScatterSum, 0, 1, Action::kFail, 0},
                                                {Call::kAllGatherParts, 1, 1, Action::kFail, 0}});
  std::vector<Tensor> parts{Tensor::of({1}, {3})};
  EXPECT_EQ(message_of([&] { world->reduce_scatter_sum(parts, Wire::kF32).wait(); }),
            "reduce_scatter_sum number 0 on cue failed");
  world->reduce_scatter_sum(parts, Wire::kBF16).wait();
  world->all_gather_parts(parts).wait();
  EXPECT_EQ(message_of([&] { world->all_gather_parts(parts).wait(); }),
            "all_gather_parts number 1 on cue failed");
  EXPECT_EQ(core::to_floats(parts[0])[0], 3.0F);
}

TEST(FaultyTest, AnAbortReachesTheOthers) {
  const auto run = [] {
    run_threads(2, [](Communicator& world) {
      std::vector<Fault> faults;
      if (world.rank() == 1) faults.push_back({Call::kBroadcast, 2, 1, Action::kAbort, 0});
      const auto own = make_faulty(world.duplicate(), faults);
      Tensor x = Tensor::zeros({1});
      for (int i = 0; i < 3; ++i) own->broadcast(x, 0).wait();
    });
  };
  EXPECT_THAT(message_of(run),
              ::testing::AnyOf(HasSubstr("broadcast number 2 on cue ended the job"),
                               HasSubstr("rank 1 ended the job")));
}

TEST(FaultyTest, ADroppedGatherTextHoldsOnlyMyOwn) {
  run_threads(2, [](Communicator& world) {
    const auto own = make_faulty(world.duplicate(), {{Call::kGatherText, 0, 1, Action::kDrop, 0}});
    const auto all = own->gather_text("mine");
    EXPECT_EQ(all[static_cast<std::size_t>(world.rank())], "mine");
    EXPECT_EQ(all[static_cast<std::size_t>(1 - world.rank())], "");
  });
}

}  // namespace
}  // namespace rw::comm
