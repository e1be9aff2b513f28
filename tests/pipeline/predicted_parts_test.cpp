// Part of Ropewalk, MIT licence.
#include "pipeline/predicted_parts.h"

#include <gtest/gtest.h>

namespace rw::pipeline {
namespace {

using Parts = std::vector<std::pair<std::size_t, Span>>;

std::vector<Operation> three_forwards() {
  std::vector<Operation> out(3);
  for (int m = 0; m < 3; ++m) {
    out[static_cast<std::size_t>(m)].kind = OpKind::kForward;
    out[static_cast<std::size_t>(m)].micro_batch = m;
  }
  return out;
}

TEST(PredictedPartsTest, WhatLiesApartStays) {
  const std::vector<Span> spans{{0, 1}, {1, 2}, {3, 4}};
  EXPECT_EQ(laid_apart(three_forwards(), spans, 9), (Parts{{0, {0, 1}}, {1, {1, 2}}, {2, {3, 4}}}));
}

TEST(PredictedPartsTest, OneEndsWhereTheNextBegins) {
  const std::vector<Span> spans{{4, 9}, {0, 5}, {3, 3.5}};
  EXPECT_EQ(laid_apart(three_forwards(), spans, 9),
            (Parts{{1, {0, 3}}, {2, {3, 3.5}}, {0, {4, 9}}}));
}

TEST(PredictedPartsTest, NothingIsLeftBehindTheStep) {
  const std::vector<Span> spans{{0, 1}, {1, 3}, {3, 4}};
  EXPECT_EQ(laid_apart(three_forwards(), spans, 2), (Parts{{0, {0, 1}}, {1, {1, 2}}}));
}

TEST(PredictedPartsTest, MessagesAreOnNoTrack) {
  auto operations = three_forwards();
  operations[1].kind = OpKind::kSendActivation;
  const std::vector<Span> spans{{0, 1}, {0.5, 0.6}, {1, 2}};
  EXPECT_EQ(laid_apart(operations, spans, 9), (Parts{{0, {0, 1}}, {2, {1, 2}}}));
}

}  // namespace
}  // namespace rw::pipeline
