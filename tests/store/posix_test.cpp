// Part of Ropewalk, MIT licence.
#include "store/posix.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "core/error.h"
#include "store/aside.h"
#include "store/regular_file.h"

namespace rw::store {
namespace {

using core::ErrorKind;
namespace fs = std::filesystem;

std::string message_of(ErrorKind kind, const std::function<void()>& body) {
  try {
    body();
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

class PosixTest : public ::testing::Test {
 protected:
  PosixTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("rw_posix_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~PosixTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
  std::unique_ptr<Store> store_ = make_posix();
};

TEST_F(PosixTest, WhatIsNoFileIsRefusedAtOnceByName) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", at("link"));
  fs::create_symlink("loop", at("loop"));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_name = "rw_posix_test.socket";  // relative: the address is short
  fs::remove(socket_name);
  std::memcpy(address.sun_path, socket_name.data(), socket_name.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::vector<std::tuple<std::string, ErrorKind, std::string>> wrong{
      {at("pipe"), ErrorKind::kDataMalformed, "got a pipe"},
      {at("link"), ErrorKind::kDataMalformed, "got a pipe"},
      {"/dev/zero", ErrorKind::kDataMalformed, "got a device"},
      {socket_name, ErrorKind::kDataMalformed, "got a socket"},
      {folder_.string(), ErrorKind::kDataMissing, "got a folder"},
      {at("loop"), ErrorKind::kDataMissing, "cannot be opened"},
      {at("none"), ErrorKind::kDataMissing, "no such file"}};
  for (const auto& [path, kind, words] : wrong) {
    const auto message = message_of(kind, [&, &path = path] { read_whole(*store_, path); });
    EXPECT_EQ(message.rfind(path + ": " + words, 0), 0U) << message;
  }
  fs::remove(socket_name);
}

TEST_F(PosixTest, SizesAreHeldAgainstTheLimitBeforeReading) {
  std::ofstream(at("sparse")).flush();
  fs::resize_file(at("sparse"), std::uintmax_t{1} << 40);
  const auto message =
      message_of(ErrorKind::kDataMalformed, [&] { read_whole(*store_, at("sparse")); });
  EXPECT_NE(message.find("1099511627776 bytes, want at most 268435456"), std::string::npos);
  std::ofstream(at("five")) << "12345";
  EXPECT_EQ(read_whole(*store_, at("five"), 5), "12345");
  message_of(ErrorKind::kDataMalformed, [&] { read_whole(*store_, at("five"), 4); });
}

TEST_F(PosixTest, NamesAsideCannotBeForeseen) {
  const AsideFile one(*store_, at("c"));
  const AsideFile other(*store_, at("c"));
  EXPECT_NE(one.name(), other.name());
  EXPECT_EQ(one.name().rfind(at("c") + ".part-", 0), 0U);
}

TEST_F(PosixTest, NothingIsWrittenThroughALink) {
  fs::create_symlink(at("victim"), at("a"));
  message_of(ErrorKind::kStorage, [&] { store_->create(at("a")); });
  EXPECT_FALSE(fs::exists(at("victim")));
  write_whole(*store_, at("a"), "mine");  // takes the link's place
  EXPECT_FALSE(fs::exists(at("victim")));
  EXPECT_FALSE(fs::is_symlink(at("a")));
}

TEST_F(PosixTest, ADeviceOrPipeIsNotReplacedByAFile) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  const auto message =
      message_of(ErrorKind::kStorage, [&] { write_whole(*store_, at("pipe"), "x"); });
  EXPECT_NE(message.find("is a pipe"), std::string::npos) << message;
  EXPECT_EQ(store_->list(folder_.string()), (std::vector<std::string>{"pipe"}));
}

TEST_F(PosixTest, WhatDeadWritersLeftGoesAndLivingOnesKeepTheirs) {
  const std::string dead = at("c.part-0123456789abcdef");
  std::ofstream(dead) << "left behind";
  std::ofstream(at("c.part-notes")) << "somebody's";
  std::ofstream(at("d.part-0123456789abcdef")) << "another target's";
  fs::create_symlink(at("c.part-notes"), at("c.part-00000000000000ff"));
  AsideFile living(*store_, at("c"));
  EXPECT_FALSE(fs::exists(dead));
  write_whole(*store_, at("c"), "whole");
  EXPECT_TRUE(fs::exists(living.name()));
  living.commit();
  EXPECT_EQ(read_whole(*store_, at("c")), "");
  EXPECT_EQ(read_whole(*store_, at("c.part-notes")), "somebody's");
  EXPECT_TRUE(fs::exists(at("d.part-0123456789abcdef")));
}

}  // namespace
}  // namespace rw::store
