// Part of Ropewalk, MIT licence.
#include "benchmarks/network/frame_switch.h"

#include <gtest/gtest.h>

namespace rw::bench {
namespace {

/// A frame from one address to another (the first byte of a group's address is odd), with a mark.
std::vector<std::uint8_t> frame(std::uint8_t to, std::uint8_t from, std::uint8_t mark) {
  std::vector<std::uint8_t> out(20, 0);
  out[0] = to;
  out[6] = from;
  out[19] = mark;
  return out;
}

constexpr std::uint8_t kAll = 0xff;

/// What leaves up to `now_ns`, as {port, mark}.
std::vector<std::pair<std::size_t, int>> leaving(FrameSwitch& frames, std::int64_t now_ns) {
  std::vector<std::pair<std::size_t, int>> out;
  while (const auto one = frames.next(now_ns)) out.emplace_back(one->port, one->bytes.at(19));
  return out;
}

using Leaving = std::vector<std::pair<std::size_t, int>>;

TEST(FrameSwitch, EveryOrderedPairHasItsDelay) {
  FrameSwitch frames({{0, 1e-6, 3e-6}, {2e-6, 0, 1e-6}, {5e-6, 1e-6, 0}});
  EXPECT_EQ(frames.due_ns(), std::nullopt);
  frames.arrived(0, frame(kAll, 2, 1), 100);  // to all; the switch learns where 2 lives
  EXPECT_EQ(frames.due_ns(), 1100);
  EXPECT_EQ(leaving(frames, 1099), Leaving{});
  EXPECT_EQ(leaving(frames, 1100), (Leaving{{1, 1}}));
  EXPECT_EQ(leaving(frames, 3100), (Leaving{{2, 1}}));
  frames.arrived(2, frame(2, 4, 2), 4000);
  frames.arrived(1, frame(2, 6, 3), 5000);
  EXPECT_EQ(leaving(frames, 6999), Leaving{});
  EXPECT_EQ(leaving(frames, 9000), (Leaving{{0, 3}, {0, 2}}));
  EXPECT_EQ(frames.due_ns(), std::nullopt);
}

TEST(FrameSwitch, AnAddressThatMovesIsFollowedAndUnknownOnesAreLookedForEverywhere) {
  FrameSwitch frames(std::vector<std::vector<double>>(3, std::vector<double>(3, 0)));
  frames.arrived(0, frame(8, 2, 1), 0);
  EXPECT_EQ(leaving(frames, 0), (Leaving{{1, 1}, {2, 1}}));
  frames.arrived(1, frame(2, 4, 2), 0);
  EXPECT_EQ(leaving(frames, 0), (Leaving{{0, 2}}));
  frames.arrived(2, frame(8, 2, 3), 0);
  leaving(frames, 0);
  frames.arrived(1, frame(2, 4, 4), 0);
  EXPECT_EQ(leaving(frames, 0), (Leaving{{2, 4}}));
  frames.arrived(2, frame(2, 10, 5), 0);  // behind the port it came from
  frames.arrived(2, {1, 2, 3}, 0);        // no frame
  EXPECT_EQ(leaving(frames, 0), Leaving{});
}

TEST(FrameSwitch, KeepsOrderAndDropsWhatFindsNoRoom) {
  FrameSwitch frames({{0, 1e-6}, {1e-6, 0}}, 3);
  for (std::uint8_t mark = 1; mark <= 5; ++mark) frames.arrived(0, frame(kAll, 2, mark), 0);
  EXPECT_EQ(frames.dropped(), 2);
  EXPECT_EQ(leaving(frames, 1000), (Leaving{{1, 1}, {1, 2}, {1, 3}}));
  frames.arrived(0, frame(kAll, 2, 6), 1000);
  EXPECT_EQ(leaving(frames, 2000), (Leaving{{1, 6}}));
}

TEST(FrameSwitch, ATableThatIsNotSquareIsRefused) {
  EXPECT_THROW(FrameSwitch({{0, 1}, {1}}), std::runtime_error);
}

}  // namespace
}  // namespace rw::bench
