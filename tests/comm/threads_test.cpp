// Part of Ropewalk, MIT licence.
#include "comm/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "comm/local.h"
#include "core/error.h"
#include "tests/support/numbers.h"

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;
using core::Tensor;
using test::message_of;
using ::testing::HasSubstr;

ErrorKind kind_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kUsage;
}

TEST(ThreadsTest, RunsTheBodyOncePerRank) {
  std::atomic<int> ranks{0};
  run_threads(5, [&](Communicator& world) { ranks += 1 << world.rank(); });
  EXPECT_EQ(ranks.load(), 31);
}

TEST(ThreadsTest, RefusesAWorldWithoutRanks) {
  EXPECT_THAT(message_of([] { run_threads(0, [](Communicator&) {}); }), HasSubstr("got rank 0"));
}

TEST(ThreadsTest, NobodyPassesABarrierBeforeAllCame) {
  std::atomic<int> came{0};
  run_threads(4, [&](Communicator& world) {
    for (int round = 1; round <= 20; ++round) {
      ++came;
      world.barrier().wait();
      EXPECT_GE(came.load(), 4 * round);
      world.barrier().wait();
    }
  });
  EXPECT_EQ(came.load(), 80);
}

TEST(ThreadsTest, TheFirstCauseIsThrownAndTheOthersLoseARank) {
  std::atomic<int> lost{0};
  const auto run = [&] {
    run_threads(4, [&](Communicator& world) {
      if (world.rank() == 2) throw Error(ErrorKind::kNonFinite, "the loss is NaN");
      try {
        world.barrier().wait();
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::kRankLost) ++lost;
        throw;
      }
    });
  };
  EXPECT_EQ(message_of(run), "the loss is NaN");
  EXPECT_EQ(lost.load(), 3);
}

TEST(ThreadsTest, AnyExceptionEndsAllRanks) {
  EXPECT_THROW(run_threads(2,
                           [](Communicator& world) {
                             if (world.rank() == 0) throw std::out_of_range("index 7");
                             world.barrier().wait();
                           }),
               std::out_of_range);
}

TEST(ThreadsTest, AbortFailsPendingAndLaterCallsOfEveryRank) {
  run_threads(3, [](Communicator& world) {
    const auto child = world.duplicate();
    Tensor in = Tensor::zeros({1});
    Ticket pending = child->receive(in, 0, 1);
    world.barrier().wait();
    if (world.rank() == 1) world.abort(72);
    EXPECT_THAT(message_of([&] { pending.wait(); }), HasSubstr("rank 1 ended the job"));
    EXPECT_THAT(message_of([&] { pending.wait(); }), HasSubstr("exit code 72"));
    EXPECT_EQ(kind_of([&] { (void)pending.done(); }), ErrorKind::kRankLost);
    EXPECT_EQ(kind_of([&] { (void)world.barrier(); }), ErrorKind::kRankLost);
    EXPECT_EQ(kind_of([&] { (void)child->send(in, 0, 0); }), ErrorKind::kRankLost);
    EXPECT_EQ(kind_of([&] { (void)world.duplicate(); }), ErrorKind::kRankLost);
    EXPECT_EQ(kind_of([&] { (void)world.gather_text("x"); }), ErrorKind::kRankLost);
  });
}

TEST(ThreadsTest, WhatWasDoneBeforeAnAbortStaysDone) {
  run_threads(2, [](Communicator& world) {
    Tensor sum = Tensor::of({1}, {1});
    Ticket added = world.all_reduce_sum(sum);
    added.wait();
    world.abort(1);
    added.wait();
    EXPECT_TRUE(added.done());
    EXPECT_EQ(core::to_floats(sum)[0], 2.0F);
  });
}

TEST(ThreadsTest, DifferentCollectivesAreRefusedOnAllRanks) {
  run_threads(3, [](Communicator& world) {
    std::vector<double> numbers(world.rank() == 1 ? 2 : 3);
    Ticket ticket = world.all_reduce_sum(numbers);
    const auto message = message_of([&] { ticket.wait(); });
    EXPECT_THAT(message, HasSubstr("all_reduce_sum f64 [2]"));
    EXPECT_THAT(message, HasSubstr("all_reduce_sum f64 [3]"));
    EXPECT_THAT(message, HasSubstr("collective call 0"));
  });
}

TEST(ThreadsTest, CollectivesAfterARefusedOneStillMatch) {
  run_threads(2, [](Communicator& world) {
    Tensor one = Tensor::of({1}, {1});
    Ticket refused = world.rank() == 0 ? world.barrier() : world.broadcast(one, 0);
    EXPECT_EQ(kind_of([&] { refused.wait(); }), ErrorKind::kComm);
    world.all_reduce_sum(one).wait();
    EXPECT_EQ(core::to_floats(one)[0], 2.0F);
  });
}

TEST(ThreadsTest, ALateRankLearnsThatTheOthersGaveUp) {
  run_threads(2, [](Communicator& world) {
    const auto own = world.duplicate();
    if (world.rank() == 0) {
      own->set_peer_timeout(0.02);
      EXPECT_THAT(message_of([&] { own->barrier().wait(); }),
                  HasSubstr("barrier: waited 0.02 s for rank 1"));
    }
    world.barrier().wait();
    if (world.rank() == 1) {
      EXPECT_EQ(kind_of([&] { own->barrier().wait(); }), ErrorKind::kHang);
    }
  });
}

TEST(ThreadsTest, AReceiveThatWasGivenUpTakesNoLaterMessage) {
  run_threads(2, [](Communicator& world) {
    const Tensor out = Tensor::of({1}, {8});
    Tensor given_up = Tensor::zeros({1});
    Tensor in = Tensor::zeros({1});
    if (world.rank() == 0) {
      world.set_peer_timeout(0.02);
      EXPECT_THAT(message_of([&] { world.receive(given_up, 1, 3).wait(); }),
                  HasSubstr("receive from rank 1, tag 3: waited 0.02 s"));
      world.set_peer_timeout(0);
    }
    world.barrier().wait();
    Ticket sent;
    if (world.rank() == 1) sent = world.send(out, 0, 3);
    if (world.rank() == 0) {
      world.receive(in, 1, 3).wait();
      EXPECT_EQ(core::to_floats(in)[0], 8.0F);
      EXPECT_EQ(core::to_floats(given_up)[0], 0.0F);
    }
    sent.wait();
  });
}

TEST(ThreadsTest, BothEndsLearnOfMessagesThatDoNotFit) {
  run_threads(2, [](Communicator& world) {
    Tensor mine = Tensor::zeros({world.rank() + 1});
    Ticket ticket = world.rank() == 0 ? world.send(mine, 1, 0) : world.receive(mine, 0, 0);
    const auto message = message_of([&] { ticket.wait(); });
    EXPECT_THAT(message, HasSubstr("from rank 0 to rank 1, tag 0"));
    EXPECT_THAT(message, HasSubstr("sent f32 [1], received f32 [2]"));
  });
}

TEST(LocalTest, AbortFailsLaterCalls) {
  const auto world = make_local();
  EXPECT_EQ(world->size(), 1);
  world->barrier().wait();
  world->abort(71);
  EXPECT_THAT(message_of([&] { (void)world->barrier(); }), HasSubstr("exit code 71"));
}

TEST(LocalTest, CollectivesAreDoneAtOnce) {
  const auto world = make_local();
  Tensor x = Tensor::of({2}, {1, 2});
  EXPECT_TRUE(world->all_reduce_sum(x).done());
  EXPECT_TRUE(world->broadcast(x, 0).done());
  Tensor all = Tensor::zeros({2});
  EXPECT_TRUE(world->all_gather(x, all).done());
  EXPECT_EQ(core::to_floats(all), (std::vector<float>{1, 2}));
}

}  // namespace
}  // namespace rw::comm
