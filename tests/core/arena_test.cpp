// Part of Ropewalk, MIT licence.
#include "core/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "core/placement.h"

namespace rw::core {
namespace {

TEST(ArenaTest, GivesTheSameBlockAgainWithoutAskingTheSystem) {
  void* first = host_alloc(123456);
  host_release(first, 123456);
  const auto before = host_memory();
  void* second = host_alloc(123450);
  EXPECT_EQ(first, second);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second) % 64, 0U);
  EXPECT_EQ(host_memory().system_allocations, before.system_allocations);
  EXPECT_GE(host_memory().live_bytes, before.live_bytes + 123450);
  host_release(second, 123450);
  EXPECT_EQ(host_memory().live_bytes, before.live_bytes);
}

TEST(ArenaTest, BlocksHoldWhatWasWritten) {
  std::vector<std::pair<char*, std::size_t>> blocks;
  for (std::size_t i = 1; i <= 40; ++i) {
    const std::size_t bytes = i * i * 1021;
    blocks.emplace_back(static_cast<char*>(host_alloc(bytes)), bytes);
    std::memset(blocks.back().first, static_cast<int>(i), bytes);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [address, bytes] = blocks[i];
    EXPECT_EQ(std::count(address, address + bytes, static_cast<char>(i + 1)),
              static_cast<std::ptrdiff_t>(bytes));
    host_release(address, bytes);
  }
}

TEST(ArenaTest, RefusesWhatTheMachineCannotHold) {
  EXPECT_ANY_THROW(host_alloc(std::size_t{1} << 60));
  void* block = host_alloc(64);
  host_release(block, 64);
}

TEST(ArenaTest, AThreadMayHaveItsOwnAndAnyThreadReleases) {
  const auto before = host_memory();
  void* outside = host_alloc(1000);
  void* inside = nullptr;
  std::uint64_t growths = 0;
  for (int round = 0; round < 2; ++round) {  // the second thread gets the arena of the first
    std::thread([&] {
      const OwnArena own;
      inside = host_alloc(5 << 20);
      std::memset(inside, 1, 5 << 20);
      host_release(outside, 1000);
    }).join();
    host_release(inside, 5 << 20);
    outside = host_alloc(1000);
    if (round == 0) growths = host_memory().system_allocations;
  }
  EXPECT_EQ(host_memory().system_allocations, growths);
  host_release(outside, 1000);
  EXPECT_EQ(host_memory().live_bytes, before.live_bytes);
}

TEST(ArenaTest, OneThatStillHoldsSomethingIsNotUsedAnew) {
  void* left = nullptr;
  {
    const OwnArena first;
    left = host_alloc(1 << 20);
  }
  const OwnArena second;
  EXPECT_EQ(second.memory().arena_bytes, 0U);
  host_release(left, 1 << 20);
}

TEST(PlacementTest, BlocksNeverOverlapAndFreeNeighboursBecomeOne) {
  std::mt19937 random(3);
  Placement placement;
  std::map<std::size_t, std::size_t> live;  // offset -> rounded size
  std::size_t sum = 0;
  std::size_t peak = 0;
  for (int round = 0; round < 20000; ++round) {
    if (!live.empty() && random() % 2 == 0) {
      auto at = live.begin();
      std::advance(at, random() % live.size());
      placement.give(at->first, at->second);
      sum -= at->second;
      live.erase(at);
    } else {
      const std::size_t bytes = 1 + random() % 5000;
      const std::size_t size = Placement::rounded(bytes);
      const std::size_t offset = placement.take(bytes);
      EXPECT_EQ(offset % Placement::kAlign, 0U);
      const auto next = live.lower_bound(offset);
      ASSERT_LE(offset + size, next == live.end() ? placement.top() : next->first);
      if (next != live.begin()) {
        const auto before = std::prev(next);
        ASSERT_LE(before->first + before->second, offset);
      }
      live[offset] = size;
      sum += size;
    }
    peak = std::max(peak, sum);
    ASSERT_EQ(placement.live_bytes(), sum);
    ASSERT_LE(placement.free_blocks(), live.size() + 1);
  }
  EXPECT_EQ(placement.peak_bytes(), peak);
  for (const auto& [offset, size] : live) placement.give(offset, size);
  EXPECT_EQ(placement.free_blocks(), 1U);
  EXPECT_EQ(placement.live_bytes(), 0U);
  const std::size_t top = placement.top();
  EXPECT_EQ(placement.take(top), 0U);
  EXPECT_EQ(placement.top(), top);
}

/// A hole of 640 bytes, and above it one of 128; 64 bytes are taken behind each.
struct TwoHoles {
  Placement placement;
  std::size_t large = placement.take(640);
  std::size_t between = placement.take(64);
  std::size_t small = placement.take(128);
  std::size_t above = placement.take(64);
  TwoHoles() {
    placement.give(large, 640);
    placement.give(small, 128);
  }
};

TEST(PlacementTest, TakesTheSmallestHoleThatFitsAndExtendsAFreeEnd) {
  TwoHoles holes;
  auto& [placement, large, between, small, above] = holes;
  EXPECT_EQ(placement.take(100), small);
  EXPECT_EQ(placement.take(600), large);
  const std::size_t end = placement.take(256);
  placement.give(end, 256);
  EXPECT_EQ(placement.take(1024), end);
  EXPECT_EQ(placement.top(), end + 1024);
}

TEST(PlacementTest, HighTakesTheEndOfTheHighestHoleThatFits) {
  TwoHoles holes;
  auto& [placement, large, between, small, above] = holes;
  const auto high = Placement::Fit::kHigh;
  EXPECT_EQ(placement.take(64, high), small + 64);
  EXPECT_EQ(placement.take(128, high), large + 512);
  EXPECT_EQ(placement.take(64, high), small);
  const std::size_t top = placement.top();
  EXPECT_EQ(placement.take(1024, high), top);
  EXPECT_EQ(placement.take(512), large);
  EXPECT_EQ(placement.free_blocks(), 0U);
}

}  // namespace
}  // namespace rw::core
