// Part of Ropewalk, MIT licence.
#include "data/unpacked_file.h"

#include <sys/stat.h>
#include <zlib.h>

#include "data/fixtures.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using testing::Folder;
using testing::message_of;

class UnpackedFileTest : public ::testing::Test {
 protected:
  std::string gzip(const std::string& text) const {
    const std::string path = folder_ / "member.gz";
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return testing::read_bytes(path);
  }
  std::string unpack(const std::string& bytes) const {
    UnpackedFile file(folder_.write("a.gz", bytes));
    std::string out;
    while (file.read(out)) {
    }
    return out;
  }
  std::string refusal(const std::string& bytes) const {
    return message_of(ErrorKind::kDataMalformed, [&] { unpack(bytes); });
  }
  Folder folder_;
  std::string one_ = gzip("one\n"), two_ = gzip(std::string(1 << 20, 'x') + "\n");
};

TEST_F(UnpackedFileTest, EveryMemberIsRead) {
  EXPECT_EQ(unpack(one_), "one\n");
  EXPECT_EQ(unpack(one_ + one_ + one_), "one\none\none\n");
  EXPECT_EQ(unpack(one_ + gzip("") + two_).size(), 4U + (1 << 20) + 1);
  EXPECT_EQ(unpack(gzip("")), "");
  EXPECT_EQ(unpack("plain \x1f"), "plain \x1f");
  EXPECT_EQ(unpack(""), "");
}

TEST_F(UnpackedFileTest, ZeroBytesBetweenAndBehindMembersArePassedOver) {
  const std::string zeros(512, '\0');
  EXPECT_EQ(unpack(one_ + zeros + one_), "one\none\n");
  EXPECT_EQ(unpack(one_ + zeros), "one\n");
  EXPECT_EQ(unpack(one_ + std::string(1 << 20, '\0') + one_), "one\none\n");
}

TEST_F(UnpackedFileTest, WhatIsNoGzipBehindAMemberIsNamedByItsPlace) {
  const std::string place = "behind member 2 at byte " + std::to_string(2 * one_.size());
  EXPECT_NE(refusal(one_ + one_ + "text").find(place), std::string::npos);
  EXPECT_NE(refusal(one_ + one_ + "{\"text\": 1}\n" + one_).find(place), std::string::npos);
  const auto padded = refusal(one_ + std::string(8, '\0') + "x");
  EXPECT_NE(padded.find("at byte " + std::to_string(one_.size() + 8)), std::string::npos) << padded;
}

/// Damage in the second of three members is refused, or (flags, time, bits that fill up a byte) leaves
/// the text as it was.
TEST_F(UnpackedFileTest, AFlippedBitLosesNoText) {
  int found = 0;
  for (std::size_t bit = 0; bit < 8 * one_.size(); ++bit) {
    std::string damaged = one_ + one_ + one_;
    char& byte = damaged[one_.size() + bit / 8];
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
    try {
      EXPECT_EQ(unpack(damaged), "one\none\none\n") << "bit " << bit;
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDataMalformed);
      const std::string message = error.what();
      EXPECT_NE(message.find("a.gz: "), std::string::npos) << message;
      EXPECT_NE(message.find(" at byte "), std::string::npos) << message;
      ++found;
    }
  }
  EXPECT_GT(found, 100);
}

TEST_F(UnpackedFileTest, ChecksumAndLengthAreHeld) {
  std::string wrong = one_;
  wrong[wrong.size() - 8] = static_cast<char>(wrong[wrong.size() - 8] ^ 1);
  EXPECT_NE(refusal(wrong).find("incorrect data check"), std::string::npos);
  wrong = one_;
  wrong[wrong.size() - 4] = static_cast<char>(wrong[wrong.size() - 4] ^ 1);
  EXPECT_NE(refusal(wrong + one_).find("incorrect length check"), std::string::npos);
}

TEST_F(UnpackedFileTest, ACutMemberIsFoundWhereverItIsCut) {
  for (std::size_t keep = 1; keep < one_.size(); ++keep) {
    refusal(one_ + one_.substr(0, keep));
  }
  EXPECT_NE(refusal(two_.substr(0, two_.size() / 2)).find("ends inside of a gzip member"),
            std::string::npos);
}

TEST_F(UnpackedFileTest, APipeIsNotWaitedFor) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  message_of(ErrorKind::kDataMalformed, [&] { UnpackedFile{folder_ / "pipe"}; });
  message_of(ErrorKind::kDataMalformed, [] { UnpackedFile{"/dev/zero"}; });
}

}  // namespace
}  // namespace rw::data
