// Part of Ropewalk, MIT licence.
#include "train/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <optional>

#include "comm/faulty.h"
#include "comm/local.h"
#include "comm/threads.h"
#include "core/error.h"
#include "train/watch_ring.h"

namespace rw::train {
namespace {

using comm::Communicator;
using comm::Fault;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr WatchdogOptions kOptions{10, 2};  // seconds of the test's own clock

/// A job whose training threads are driven by hand: no clock.
class Rings {
 public:
  explicit Rings(int ranks, const WatchdogOptions& options = kOptions)
      : options_(options), steps_(static_cast<std::size_t>(ranks), -1) {
    for (int r = 0; r < ranks; ++r) calls_.push_back(0);
  }
  /// One tick of all ranks but the stopped ones.
  void tick(double seconds, const std::vector<std::unique_ptr<WatchRing>>& rings,
            const std::vector<int>& stopped = {}) {
    // Then without time: what was sent in one round is heard in the next.
    for (int round = 0; round < 3; ++round) {
      for (std::size_t r = 0; r < rings.size(); ++r) {
        if (std::count(stopped.begin(), stopped.end(), static_cast<int>(r)) != 0) continue;
        rings[r]->tick(round == 0 ? seconds : 0, steps_[r], calls_[r]);
      }
    }
  }
  void progress(int rank, std::int64_t step) {
    steps_[static_cast<std::size_t>(rank)] = step;
    ++calls_[static_cast<std::size_t>(rank)];
  }
  void progress_all(std::int64_t step) {
    for (int r = 0; r < static_cast<int>(steps_.size()); ++r) progress(r, step);
  }
  const WatchdogOptions& options() const { return options_; }

 private:
  WatchdogOptions options_;
  std::vector<std::int64_t> steps_;
  std::vector<std::int64_t> calls_;
};

/// Calls body(rings) once with the rings of all ranks, in one thread.
void with_rings(const Rings& rings, int ranks,
                const std::function<void(std::vector<std::unique_ptr<WatchRing>>&)>& body) {
  std::vector<std::unique_ptr<WatchRing>> made(static_cast<std::size_t>(ranks));
  comm::run_threads(ranks, [&](Communicator& world) {
    made[static_cast<std::size_t>(world.rank())] =
        std::make_unique<WatchRing>(world, rings.options());
    world.barrier().wait();
    if (world.rank() == 0) body(made);
    world.barrier().wait();
  });
}

std::string complaint_of(const WatchRing& ring) { return ring.complaint().value_or("none"); }

TEST(WatchRingTest, BeatsTenTimesPerLimitAndOnceASecondAtLeast) {
  const auto world = comm::make_local();
  EXPECT_DOUBLE_EQ(WatchRing(*world, {10, 2}).interval(), 0.2);
  EXPECT_DOUBLE_EQ(WatchRing(*world, {1, 300}).interval(), 0.1);
  EXPECT_DOUBLE_EQ(WatchRing(*world, {120, 300}).interval(), 1);
  EXPECT_DOUBLE_EQ(WatchRing(*world, {0, 0}).interval(), 1);
}

TEST(WatchRingTest, NobodyComplainsWhileStepsAdvance) {
  Rings job(4);
  with_rings(job, 4, [&](auto& rings) {
    for (int step = 0; step < 30; ++step) {
      job.progress_all(step);
      job.tick(1, rings);
      for (const auto& ring : rings) EXPECT_EQ(complaint_of(*ring), "none");
    }
  });
}

TEST(WatchRingTest, AStoppedRankIsNamedWithinTheLimitByAllOthers) {
  Rings job(4);
  with_rings(job, 4, [&](auto& rings) {
    job.progress_all(5);
    job.tick(0.2, rings);
    for (int i = 0; i < 9; ++i) job.tick(0.2, rings, {2});  // 1.8 of 2 s
    for (const int r : {0, 1, 3}) {
      const auto text = complaint_of(*rings[static_cast<std::size_t>(r)]);
      EXPECT_THAT(text, HasSubstr("rank 2 is silent"));
      EXPECT_THAT(text, HasSubstr("last finished step 5"));
      for (const int other : {0, 1, 3}) {
        EXPECT_THAT(text, Not(HasSubstr("rank " + std::to_string(other))));
      }
    }
  });
}

TEST(WatchRingTest, SilenceIsCalledEarlyEnoughForMpirunToEndTheStoppedRank) {
  Rings job(2, {10, 5});
  with_rings(job, 2, [&](auto& rings) {
    job.progress_all(1);
    job.tick(0.5, rings);
    for (int i = 0; i < 4; ++i) job.tick(0.5, rings, {1});  // 2 of 5 s
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    for (int i = 0; i < 3; ++i) job.tick(0.5, rings, {1});
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 1 is silent"));
  });
}

TEST(WatchRingTest, ThreeStoppedNeighboursAreAllNamed) {
  Rings job(6);
  with_rings(job, 6, [&](auto& rings) {
    job.progress_all(0);
    job.tick(0.2, rings);
    for (int i = 0; i < 9; ++i) job.tick(0.2, rings, {1, 2, 3});
    const auto text = complaint_of(*rings[4]);
    for (const int r : {1, 2, 3}) {
      EXPECT_THAT(text, HasSubstr("rank " + std::to_string(r) + " is silent"));
    }
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 3 is silent"));
  });
}

TEST(WatchRingTest, ASlowRankIsAliveAndNamedWithItsStep) {
  Rings job(3);
  with_rings(job, 3, [&](auto& rings) {
    job.progress_all(6);
    job.tick(0.2, rings);
    job.progress(0, 7);
    job.progress(1, 7);
    for (int i = 0; i < 11; ++i) job.tick(0.2, rings);
    for (const auto& ring : rings) {
      const auto text = complaint_of(*ring);
      EXPECT_THAT(text, HasSubstr("rank 2 is alive but still in step 7"));
      EXPECT_THAT(text, Not(HasSubstr("silent:")));
      EXPECT_THAT(text, Not(HasSubstr("rank 0")));
    }
  });
}

TEST(WatchRingTest, RanksThatAllStandStillAreAllNamed) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    job.progress_all(3);
    job.tick(0.2, rings);
    for (int i = 0; i < 11; ++i) job.tick(0.2, rings);
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 0 is alive but still in step 4"));
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 1 is alive but still in step 4"));
  });
}

TEST(WatchRingTest, BeforeTheFirstStepTheLimitIsAnother) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    job.progress(0, 0);
    for (int i = 0; i < 9; ++i) {
      job.progress(0, 0);
      job.tick(1, rings);
    }
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    for (int i = 0; i < 2; ++i) {
      job.progress(0, 0);
      job.tick(1, rings);
    }
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 1 is alive but has not begun to train"));
  });
}

TEST(WatchRingTest, WhoHasBegunWaitsForThoseWhoHaveNot) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    job.progress(0, 0);
    for (int i = 0; i < 9; ++i) job.tick(1, rings);  // 9 of 10 s to begin, though 2 s a step
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    job.progress(1, 0);
    job.tick(1, rings);
    EXPECT_EQ(complaint_of(*rings[0]), "none");  // now there are 2 s for step 1
    EXPECT_EQ(complaint_of(*rings[1]), "none");
    for (int i = 0; i < 2; ++i) job.tick(0.9, rings);
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    job.tick(0.9, rings);
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 0 is alive but still in step 1"));
  });
}

TEST(WatchRingTest, ARankThatIsStoppedBeforeItBeginsIsNamed) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    job.progress(0, 0);
    job.tick(0.2, rings);
    for (int i = 0; i < 9; ++i) job.tick(0.2, rings, {1});
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 1 is silent"));
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("it has not begun to train"));
  });
}

TEST(WatchRingTest, TheSameStepAgainIsProgress) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    for (int i = 0; i < 20; ++i) {
      job.progress_all(4);
      job.tick(0.5, rings);
    }
    EXPECT_EQ(complaint_of(*rings[1]), "none");
  });
}

TEST(WatchRingTest, ARankThatComesBackInTimeIsNotNamed) {
  Rings job(2);
  with_rings(job, 2, [&](auto& rings) {
    for (int i = 0; i < 10; ++i) {
      job.progress_all(i);
      job.tick(0.6, rings, {1});
      job.tick(0.6, rings, {1});
      job.tick(0.1, rings);
      EXPECT_EQ(complaint_of(*rings[0]), "none") << i;
    }
  });
}

TEST(WatchRingTest, NoLimitNoComplaint) {
  Rings job(2, {0, 0});
  with_rings(job, 2, [&](auto& rings) {
    for (int i = 0; i < 10; ++i) job.tick(1000, rings, {1});
    EXPECT_EQ(complaint_of(*rings[0]), "none");
  });
}

TEST(WatchRingTest, WhoSaidGoodbyeIsNotMissed) {
  Rings job(3);
  with_rings(job, 3, [&](auto& rings) {
    job.progress_all(1);
    job.tick(0.1, rings);
    EXPECT_FALSE(rings[1]->farewell());  // the others have not said theirs
    for (int i = 0; i < 20; ++i) {
      job.progress(0, i);
      job.progress(2, i);
      job.tick(1, rings, {1});
    }
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    bool all = false;
    for (int round = 0; round < 3; ++round) {
      all = true;
      for (auto& ring : rings) all = ring->farewell() && all;
    }
    EXPECT_TRUE(all);
  });
}

TEST(WatchRingTest, AloneItWatchesItself) {
  Rings job(1);
  with_rings(job, 1, [&](auto& rings) {
    job.progress(0, 8);
    job.tick(0.1, rings);
    EXPECT_EQ(complaint_of(*rings[0]), "none");
    job.tick(2.1, rings);
    EXPECT_THAT(complaint_of(*rings[0]), HasSubstr("rank 0 is alive but still in step 9"));
    EXPECT_TRUE(rings[0]->farewell());
  });
}

/// Runs a watchdog per rank until one complains; `faults` are those of rank 1's communicator.
std::string first_complaint(int ranks, const std::vector<Fault>& faults,
                            const std::function<bool(int rank)>& works) {
  std::promise<std::string> said;
  std::atomic<bool> once{false};
  auto heard = said.get_future();
  std::atomic<bool> end{false};
  comm::run_threads(ranks, [&](Communicator& world) {
    auto own = world.duplicate();
    if (world.rank() == 1) own = comm::make_faulty(std::move(own), faults);
    Watchdog watchdog(std::move(own), {0.3, 0.3}, [&](const std::string& message) {
      if (!once.exchange(true)) said.set_value(message);
      end = true;
    });
    for (std::int64_t step = 0; !end; ++step) {
      if (works(world.rank()) || step == 0) watchdog.progress(step);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  return heard.get();
}

TEST(WatchdogTest, NamesARankWhoseHeartbeatsCease) {
  const std::vector<Fault> deaf{{Fault::Call::kSend, 4, -1, Fault::Action::kDrop, 0}};
  EXPECT_THAT(first_complaint(3, deaf, [](int) { return true; }), HasSubstr("rank 1 is silent"));
}

TEST(WatchdogTest, NamesARankThatIsStuckInAStep) {
  const auto text = first_complaint(3, {}, [](int rank) { return rank != 2; });
  EXPECT_THAT(text, HasSubstr("rank 2 is alive but still in step 1"));
  EXPECT_THAT(text, Not(HasSubstr("rank 0")));
}

TEST(WatchdogTest, AJobThatEndsWellIsQuiet) {
  std::atomic<int> complaints{0};
  comm::run_threads(4, [&](Communicator& world) {
    Watchdog watchdog(world.duplicate(), {30, 30}, [&](const std::string&) { ++complaints; });
    for (std::int64_t step = 0; step < 5; ++step) watchdog.progress(step);
  });
  EXPECT_EQ(complaints.load(), 0);
}

TEST(WatchdogTest, ItEndsWhenTheJobIsAborted) {
  EXPECT_THROW(comm::run_threads(
                   3,
                   [](Communicator& world) {
                     Watchdog watchdog(world.duplicate(), {0.1, 0.1}, [](const std::string&) {});
                     if (world.rank() == 1) {
                       throw core::Error(core::ErrorKind::kStorage, "disk full");
                     }
                     world.barrier().wait();
                   }),
               core::Error);
}

TEST(WatchdogTest, ARankMayLeaveLongBeforeTheOthers) {
  std::atomic<int> complaints{0};
  comm::run_threads(3, [&](Communicator& world) {
    auto watchdog = std::make_unique<Watchdog>(world.duplicate(), WatchdogOptions{30, 30},
                                               [&](const std::string&) { ++complaints; });
    watchdog->progress(0);
    if (world.rank() == 0) watchdog.reset();  // waits for the others' goodbye, not for ever
    world.barrier().wait();
  });
  EXPECT_EQ(complaints.load(), 0);
}

}  // namespace
}  // namespace rw::train
