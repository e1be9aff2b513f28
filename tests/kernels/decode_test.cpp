// Part of Ropewalk, MIT licence.
// What decode() computes is tested against the training path in tests/model/generate_test.cpp.
#include "kernels/decode/decode.h"

#include <gtest/gtest.h>

#include <array>

#include "kernels/decode/team.h"
#include "support/numbers.h"
#include "support/sanitized.h"

namespace rw::kernels {
namespace {

/// V = 5, D = 8, H = 2, Hkv = 1, Dh = 4, F = 6; two sequences of three positions.
DecodeModel tiny() {
  DecodeLayer layer;
  layer.input_norm = test::random({8}, 1);
  layer.qkv = test::random({16, 8}, 2);
  layer.o = test::random({8, 8}, 3);
  layer.post_norm = test::random({8}, 4);
  layer.gate_up = test::random({12, 8}, 5);
  layer.down = test::random({8, 6}, 6);
  layer.keys = Tensor::zeros({2, 1, 3, 4});
  layer.values = Tensor::zeros({2, 1, 3, 4});
  DecodeModel out;
  out.embedding = test::random({5, 8}, 7);
  out.final_norm = test::random({8}, 8);
  out.head = out.embedding;
  out.cos = test::random({3, 2}, 9);
  out.sin = test::random({3, 2}, 10);
  out.eps = 1e-6F;
  out.layers.push_back(layer);
  return out;
}

std::string refusal(const DecodeModel& model, std::span<const DecodeRow> rows, Tensor logits) {
  DecodeScratch scratch(tiny(), 2);
  Stream stream;
  return test::message_of([&] { decode(model, rows, scratch, logits, stream); });
}

TEST(DecodeTest, RefusesWhatDoesNotFit) {
  const Tensor logits = Tensor::empty({1, 5});
  const std::array<DecodeRow, 1> row{{{4, 1, 2, true}}};
  EXPECT_EQ(refusal(tiny(), row, logits), "no error");
  DecodeModel model = tiny();
  model.layers[0].down = test::random({7, 6}, 1);
  EXPECT_EQ(refusal(model, row, logits), "decode: got down f32 [7, 6]; want f32 [8, 6]");
  model = tiny();
  model.layers[0].q_norm = test::random({4}, 1);
  EXPECT_EQ(refusal(model, row, logits), "decode: got k_norm undefined; want a tensor");
  model = tiny();
  model.layers[0].values = Tensor::empty({2, 1, 3, 4}, core::DType::kBF16);
  EXPECT_EQ(refusal(model, row, logits),
            "decode: got values bf16 [2, 1, 3, 4]; want f32 [2, 1, 3, 4]");
  model.layers[0].down = Tensor::empty({8, 0});
  EXPECT_EQ(refusal(model, row, logits), "decode: got down f32 [8, 0]; want at least one column");
  model.layers.clear();
  EXPECT_EQ(refusal(model, row, logits), "decode: got no layers; want at least one");
  EXPECT_EQ(refusal(tiny(), row, Tensor::empty({2, 5})),
            "decode: got logits f32 [2, 5]; want f32 [1, 5]");
  EXPECT_EQ(refusal(tiny(), row, {}), "decode: got logits undefined; want a tensor");
}

TEST(DecodeTest, RefusesRowsOutsideOfTheModel) {
  const auto with = [](DecodeRow row) {
    return refusal(tiny(), std::array<DecodeRow, 2>{{{0, 0, 0, false}, row}},
                   Tensor::empty({1, 5}));
  };
  EXPECT_EQ(with({5, 0, 1, true}), "decode: got token 5 at 1; want 0 to 4");
  EXPECT_EQ(with({-1, 0, 1, true}), "decode: got token -1 at 1; want 0 to 4");
  EXPECT_EQ(with({0, 2, 1, true}), "decode: got sequence 2 at 1; want 0 to 1");
  EXPECT_EQ(with({0, 0, 3, true}), "decode: got position 3 at 1; want 0 to 2");
  EXPECT_EQ(with({0, 0, 1, true}), "no error");
  EXPECT_EQ(refusal(tiny(), {}, Tensor::empty({1, 5})),
            "decode: got 0 rows; want 1 to 2, the rows of the scratch memory");
}

TEST(DecodeTest, RowsThatWantNoLogitsNeedNone) {
  EXPECT_EQ(refusal(tiny(), std::array<DecodeRow, 1>{{{4, 1, 2, false}}}, {}), "no error");
}

TEST(MeetingTest, NobodyGoesOnBeforeTheLastHasCome) {
  constexpr int kThreads = 4;
  constexpr int kTurns = test::sanitized_or(200, 2000);
  Meeting meeting;
  std::array<int, kThreads> turns{};
  std::array<int, kThreads> early{};
  const auto walk = [&](std::size_t me) {
    for (int turn = 1; turn <= kTurns; ++turn) {
      turns[me] = turn;
      meeting.wait(kThreads);
      for (const int other : turns) early[me] += other == turn ? 0 : 1;
      meeting.wait(kThreads);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(walk, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(early, (std::array<int, kThreads>{}));
}

TEST(MeetingTest, PartsCoverEverythingOnce) {
  for (const std::int64_t count : {0, 1, 47, 48, 49, 500}) {
    for (const int size : {1, 2, 3, 7}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        Member{rank, size, nullptr}.part(count, 48, [&](std::int64_t begin, std::int64_t end) {
          EXPECT_EQ(begin, next);
          EXPECT_EQ(begin % 48, 0);
          next = end;
        });
      }
      EXPECT_EQ(next, count);
    }
  }
}

}  // namespace
}  // namespace rw::kernels
