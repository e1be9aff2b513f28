// Part of Ropewalk, MIT licence.
#include "train/start_alarm.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <future>

#include "train/siblings.h"

namespace rw::train {
namespace {

TEST(StartAlarmTest, ComesOnceWhenTheStartDoesNotEnd) {
  std::promise<void> came;
  StartAlarm alarm(0.01, [&] { came.set_value(); });
  came.get_future().wait();
  alarm.stop();
}

TEST(StartAlarmTest, IsSilentAfterStopAndWithoutALimit) {
  int calls = 0;
  {
    StartAlarm stopped(1000, [&] { ++calls; });
    StartAlarm never(0, [&] { ++calls; });
    stopped.stop();
    stopped.stop();
  }
  EXPECT_EQ(calls, 0);
}

/// A child that holds two children of its own, as a launcher does: one stopped, one that looks.
TEST(StartAlarmTest, StoppedRanksOfThisHostAreNamed) {
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    const pid_t sleeper = ::fork();
    if (sleeper == 0) {
      ::execl("/usr/bin/env", "env", "START_ALARM_RANK=3", "sleep", "60", nullptr);
      ::_exit(1);
    }
    const pid_t looker = ::fork();
    if (looker == 0) {
      constexpr std::array kNames{"OTHER", "START_ALARM_RANK"};
      while (stopped_ranks(kNames) != "rank 3 is stopped") {
        ::kill(sleeper, SIGCONT);  // until it has its environment
        ::usleep(20000);
        ::kill(sleeper, SIGSTOP);
        ::usleep(20000);
      }
      ::_exit(0);
    }
    int status = 1;
    ::waitpid(looker, &status, 0);
    ::kill(sleeper, SIGKILL);
    ::waitpid(sleeper, nullptr, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  int status = 1;
  ::waitpid(launcher, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace rw::train
