// Part of Ropewalk, MIT licence.
#include "store/sha256.h"

#include <gtest/gtest.h>

namespace rw::store {
namespace {

// The examples of FIPS 180-4 and NIST's test vectors.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, AMillionLetters) {
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesDoNotMatter) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  for (const std::size_t piece : {1U, 3U, 55U, 56U, 63U, 64U, 65U, 129U}) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hash.update(std::string_view(text).substr(at, piece));
    }
    EXPECT_EQ(hash.finish_hex(), sha256_hex(text)) << "pieces of " << piece;
  }
}

TEST(Sha256, EveryLengthAroundABlockDiffers) {
  std::string last;
  for (std::size_t length = 50; length < 70; ++length) {
    const auto digest = sha256_hex(std::string(length, '\0'));
    EXPECT_EQ(digest.size(), 64U);
    EXPECT_NE(digest, last);
    last = digest;
  }
}

}  // namespace
}  // namespace rw::store
