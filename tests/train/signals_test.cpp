// Part of Ropewalk, MIT licence.
#include "train/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/numbers.h"

namespace rw::train {
namespace {

using test::message_of;
using ::testing::HasSubstr;

void expect_request(const Signals::Request& got, const Signals::Request& want) {
  EXPECT_EQ(got.save, want.save);
  EXPECT_EQ(got.leave, want.leave);
  EXPECT_EQ(got.at_once, want.at_once);
}

void* handler_of(int signal) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return reinterpret_cast<void*>(action.sa_handler);
}

/// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = ::testing::TempDir() + "rw-signals-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  void touch(const std::string& name) const { std::ofstream(path_ + "/" + name) << ""; }
  bool holds(const std::string& name) const { return std::filesystem::exists(path_ + "/" + name); }

 private:
  std::string path_;
};

TEST(SignalsTest, NothingCameNothingIsAsked) {
  Signals signals;
  expect_request(signals.take(), {});
}

TEST(SignalsTest, Usr1AsksToSaveAndLeave) {
  Signals signals;
  std::raise(SIGUSR1);
  expect_request(signals.take(), {true, true, false});
}

TEST(SignalsTest, Usr2AsksToSave) {
  Signals signals;
  std::raise(SIGUSR2);
  expect_request(signals.take(), {true, false, false});
}

TEST(SignalsTest, TermAsksToLeaveAtOnce) {
  Signals signals;
  std::raise(SIGTERM);
  expect_request(signals.take(), {false, false, true});
}

TEST(SignalsTest, ARequestIsTakenOnce) {
  Signals signals;
  std::raise(SIGUSR2);
  std::raise(SIGUSR2);
  EXPECT_TRUE(signals.take().save);
  expect_request(signals.take(), {});
}

TEST(SignalsTest, RequestsAddUp) {
  Signals signals;
  std::raise(SIGUSR2);
  std::raise(SIGTERM);
  expect_request(signals.take(), {true, false, true});
}

TEST(SignalsTest, OldHandlersComeBack) {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ::sigaction(SIGUSR1, &ignore, &before);
  void* const ours = handler_of(SIGUSR1);
  {
    const Signals signals;
    EXPECT_NE(handler_of(SIGUSR1), ours);
  }
  EXPECT_EQ(handler_of(SIGUSR1), ours);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(SignalsTest, ASecondObjectIsRefused) {
  {
    Signals first;
    EXPECT_THAT(message_of([] { const Signals second; }), HasSubstr("want one a process"));
    std::raise(SIGUSR2);
    EXPECT_TRUE(first.take().save);
  }
  EXPECT_EQ(message_of([] { const Signals next; }), "no error");
}

TEST(SignalsTest, WhatCameToAnOlderObjectIsForgotten) {
  {
    const Signals older;
    std::raise(SIGUSR1);
  }
  Signals signals;
  expect_request(signals.take(), {});
}

TEST(SignalsTest, SignalsFromManyThreadsAreTakenByAnother) {
  Signals signals;
  std::atomic<bool> end{false};
  std::atomic<int> taken{0};
  std::thread taker([&] {
    while (!end) taken += signals.take().save ? 1 : 0;
    taken += signals.take().save ? 1 : 0;
  });
  std::thread sender([] {
    for (int i = 0; i < 100; ++i) ::kill(::getpid(), SIGUSR2);
  });
  sender.join();
  end = true;
  taker.join();
  EXPECT_GE(taken.load(), 1);
  EXPECT_LE(taken.load(), 100);
}

TEST(TriggerFilesTest, NoFileNoRequest) {
  const Folder folder;
  expect_request(take_trigger_files(folder.path()), {});
  expect_request(take_trigger_files(folder.path() + "/not/there"), {});
}

TEST(TriggerFilesTest, SaveIsTakenAndRemoved) {
  const Folder folder;
  folder.touch("SAVE");
  expect_request(take_trigger_files(folder.path()), {true, false, false});
  EXPECT_FALSE(folder.holds("SAVE"));
  expect_request(take_trigger_files(folder.path()), {});
}

TEST(TriggerFilesTest, StopSavesAndLeaves) {
  const Folder folder;
  folder.touch("STOP");
  folder.touch("SAVE");
  expect_request(take_trigger_files(folder.path()), {true, true, false});
  EXPECT_FALSE(folder.holds("STOP"));
  EXPECT_FALSE(folder.holds("SAVE"));
}

TEST(TriggerFilesTest, OtherFilesStay) {
  const Folder folder;
  folder.touch("stop");
  folder.touch("metrics.jsonl");
  expect_request(take_trigger_files(folder.path()), {});
  EXPECT_TRUE(folder.holds("stop"));
  EXPECT_TRUE(folder.holds("metrics.jsonl"));
}

TEST(TriggerFilesTest, WhatCannotBeRemovedIsAnError) {
  const Folder folder;
  std::filesystem::create_directory(folder.path() + "/STOP");
  EXPECT_THAT(message_of([&] { (void)take_trigger_files(folder.path()); }),
              HasSubstr("/STOP: cannot remove it"));
}

}  // namespace
}  // namespace rw::train
