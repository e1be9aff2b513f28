// Part of Ropewalk, MIT licence.
#include "data/bytes_tokenizer.h"

#include "core/error.h"
#include "data/bpe_tokenizer.h"
#include "data/fixtures.h"
#include "store/sha256.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using Ids = std::vector<std::int32_t>;

TEST(BytesTokenizer, AByteIsItsId) {
  const auto tokenizer = load_tokenizer("bytes");
  EXPECT_EQ(tokenizer->encode("az\xff\n"), (Ids{97, 122, 255, 10}));
  EXPECT_EQ(tokenizer->encode(std::string_view("\0x", 2)), (Ids{0, 120}));
  EXPECT_EQ(tokenizer->vocab_size(), 257);
  EXPECT_TRUE(tokenizer->takes_any_bytes());
}

TEST(BytesTokenizer, KnowsTheEndOfText) {
  const auto tokenizer = load_tokenizer("bytes");
  EXPECT_EQ(tokenizer->encode("a<|endoftext|>b<|endof"),
            (Ids{97, 256, 98, 60, 124, 101, 110, 100, 111, 102}));
  EXPECT_EQ(tokenizer->token_id("<|endoftext|>"), 256);
  EXPECT_EQ(tokenizer->special_tokens(), std::vector<std::string>{"<|endoftext|>"});
  EXPECT_EQ(end_token_id(*tokenizer, "bytes", ""), 256);
}

TEST(BytesTokenizer, DecodesWhatItEncoded) {
  const auto tokenizer = load_tokenizer("bytes");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(all + "<|endoftext|>")), all + "<|endoftext|>");
}

TEST(BytesTokenizer, RefusesIdsThatAreNone) {
  const auto tokenizer = load_tokenizer("bytes");
  for (const std::int32_t id : {-1, 257}) {
    const auto message =
        testing::message_of(ErrorKind::kDataMalformed, [&] { tokenizer->decode(Ids{id}); });
    EXPECT_NE(message.find("id " + std::to_string(id)), std::string::npos) << message;
  }
}

TEST(BytesTokenizer, ItsExportIsABpeWithTheSameIds) {
  const auto tokenizer = make_bytes_tokenizer();
  const auto bpe = make_bpe_tokenizer(tokenizer->json(), "export");
  const std::string text = "A caf\xc3\xa9,  \t\xe6\x97\xa5<|endoftext|> it's 12";
  EXPECT_EQ(bpe->encode(text), tokenizer->encode(text));
  EXPECT_EQ(bpe->vocab_size(), 257);
}

TEST(BytesTokenizer, ItsExportIsReadBackAsItself) {
  const auto tokenizer = make_bytes_tokenizer();
  const auto again = tokenizer_from_json(tokenizer->json(), "corpus");
  EXPECT_TRUE(again->takes_any_bytes());
  EXPECT_EQ(again->sha256(), store::sha256_hex(tokenizer->json()));
}

}  // namespace
}  // namespace rw::data
