// Part of Ropewalk, MIT licence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <string>
#include <vector>

#include "tests/comm/mpi_environment.h"
#include "train/watchdog.h"

namespace rw::train {
namespace {

TEST(WatchdogMpiTest, NamesAProcessThatIsStopped) {
  constexpr int kStopped = 2;
  auto& world = test::mpi_session().world();
  ASSERT_EQ(world.size(), 4);
  const auto pids = world.gather_text(std::to_string(::getpid()));
  std::promise<std::string> said;
  std::atomic<int> complaints{0};
  Watchdog watchdog(world.duplicate(), {60, 0.5}, [&](const std::string& message) {
    if (complaints++ == 0) said.set_value(message);
  });
  watchdog.progress(0);
  const std::vector<int> others{0, 1, 3};
  const auto awake = world.subgroup(others);
  world.barrier().wait();
  if (world.rank() == kStopped) {
    ::raise(SIGSTOP);  // until rank 0 wakes it
  } else {
    auto heard = said.get_future();
    const auto state = heard.wait_for(std::chrono::seconds(20));
    EXPECT_EQ(state, std::future_status::ready);
    if (state == std::future_status::ready) {
      EXPECT_THAT(heard.get(), ::testing::StartsWith("rank 2 is silent"));
    }
  }
  // All others have heard of it by then, or waited long enough.
  if (awake != nullptr) awake->barrier().wait();
  if (world.rank() == 0) ::kill(std::stoi(pids[kStopped]), SIGCONT);
  world.barrier().wait();
}

TEST(WatchdogMpiTest, AJobThatEndsWellIsQuiet) {
  auto& world = test::mpi_session().world();
  std::atomic<int> complaints{0};
  {
    Watchdog watchdog(world.duplicate(), {30, 30}, [&](const std::string&) { ++complaints; });
    for (std::int64_t step = 0; step < 5; ++step) {
      watchdog.progress(step);
      world.barrier().wait();
    }
  }
  EXPECT_EQ(complaints.load(), 0);
}

}  // namespace
}  // namespace rw::train
