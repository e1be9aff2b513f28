// Part of Ropewalk, MIT licence.
#include "data/tokenizer_trainer.h"

#include "data/fixtures.h"
#include "data/tokenizer.h"

namespace rw::data {
namespace {

using core::ErrorKind;
using Merges = std::vector<std::pair<int, int>>;

TEST(TokenizerTrainer, MergesTheMostFrequentPair) {
  TokenizerTrainer trainer;
  trainer.add("abc abc ab");  // words "abc", " abc", " ab": ab 3, bc 2, " a" 2
  const auto bpe = trainer.train(260);
  // After ab (257): " "+257 twice, 257+c twice; the smaller pair is (32, 257).
  EXPECT_EQ(bpe.merges, (Merges{{'a', 'b'}, {' ', 257}, {257, 'c'}}));
  EXPECT_EQ(bpe.tokens[257], "ab");
  EXPECT_EQ(bpe.tokens[258], " ab");
  EXPECT_EQ(bpe.tokens[259], "abc");
}

TEST(TokenizerTrainer, EqualCountsGoToTheSmallestPair) {
  TokenizerTrainer trainer;
  trainer.add("zy");
  trainer.add("ab");
  EXPECT_EQ(trainer.train(259).merges, (Merges{{'a', 'b'}, {'z', 'y'}}));
}

TEST(TokenizerTrainer, RunsMergeFromTheLeft) {
  TokenizerTrainer trainer;
  trainer.add("aaaaa");  // (a, a) four times; then 257 257 a
  EXPECT_EQ(trainer.train(260).merges, (Merges{{'a', 'a'}, {257, 'a'}, {257, 258}}));
}

TEST(TokenizerTrainer, TheOrderOfTextsDoesNotMatter) {
  TokenizerTrainer one, other;
  one.add("the rope walk");
  one.add("the walker's ropes");
  other.add("the walker's ropes");
  other.add("the rope walk");
  EXPECT_EQ(export_bpe(one.train(280)), export_bpe(other.train(280)));
}

TEST(TokenizerTrainer, StopsWhenNothingIsLeft) {
  TokenizerTrainer trainer;
  trainer.add("abc");
  EXPECT_EQ(trainer.train(1000).tokens.size(), 259U);
}

TEST(TokenizerTrainer, RefusesImpossibleSizesAndNoText) {
  TokenizerTrainer trainer;
  auto message = testing::message_of(ErrorKind::kDataMissing, [&] { trainer.train(300); });
  EXPECT_NE(message.find("no text"), std::string::npos) << message;
  trainer.add("a");
  message = testing::message_of(ErrorKind::kUsage, [&] { trainer.train(256); });
  EXPECT_NE(message.find("--vocab-size 256"), std::string::npos) << message;
}

TEST(TokenizerTrainer, WhatItWritesIsReadBack) {
  TokenizerTrainer trainer;
  const std::string text =
      "The rope walk; caf\xc3\xa9 and rope, the walk of ropes 1234 <|endoftext|>\n";
  trainer.add(text);
  const auto bpe = trainer.train(280);
  const auto tokenizer = tokenizer_from_json(export_bpe(bpe), "trained");
  EXPECT_EQ(tokenizer->vocab_size(), 280);
  EXPECT_EQ(tokenizer->token_id("<|endoftext|>"), 256);
  const auto ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_LT(ids.size(), text.size());
  EXPECT_EQ(ids[ids.size() - 2], 256);
}

}  // namespace
}  // namespace rw::data
