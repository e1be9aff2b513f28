// Part of Ropewalk, MIT licence.
#pragma once
#include "tests/comm/conformance_group.h"

namespace rw::comm::conformance {

TEST_P(ConformanceTest, RanksCountUpFromZero) {
  run([](Communicator& world) {
    EXPECT_GE(world.rank(), 0);
    EXPECT_LT(world.rank(), world.size());
    std::vector<double> seen(static_cast<std::size_t>(world.size()), 0.0);
    seen[static_cast<std::size_t>(world.rank())] = 1;
    world.all_reduce_sum(seen).wait();
    EXPECT_EQ(seen, std::vector<double>(seen.size(), 1.0));
  });
}

TEST_P(ConformanceTest, AddsTensorsInRankOrder) {
  run([](Communicator& world) {
    for (const std::int64_t n : {0, 1, 3, 7, 1023, 1024, 1025, 4099, 300001}) {
      Tensor tensor = floats(awkward(world.rank(), n));
      world.all_reduce_sum(tensor).wait();
      EXPECT_TRUE(same_bits(core::to_floats(tensor), sum_in_order(world.size(), n))) << n;
    }
  });
}

TEST_P(ConformanceTest, TheCutIntoBucketsChangesNoBit) {
  run([](Communicator& world) {
    const std::int64_t n = 5003;
    const auto want = sum_in_order(world.size(), n);
    for (const std::int64_t bucket : {1000, 1025, 2501, 5003}) {
      Tensor tensor = floats(awkward(world.rank(), n));
      std::vector<Tensor> buckets;
      std::vector<Ticket> tickets;
      for (std::int64_t at = 0; at < n; at += bucket) {
        buckets.push_back(tensor.flat(at, std::min(n, at + bucket)));
        tickets.push_back(world.all_reduce_sum(buckets.back()));
      }
      for (auto& ticket : tickets) ticket.wait();
      EXPECT_TRUE(same_bits(core::to_floats(tensor), want)) << bucket;
    }
  });
}

TEST_P(ConformanceTest, BucketsOfOneNumberAddAlike) {
  run([](Communicator& world) {
    Tensor tensor = floats(awkward(world.rank(), 5));
    for (std::int64_t i = 0; i < 5; ++i) {
      Tensor bucket = tensor.flat(i, i + 1);
      world.all_reduce_sum(bucket).wait();
    }
    EXPECT_TRUE(same_bits(core::to_floats(tensor), sum_in_order(world.size(), 5)));
  });
}

TEST_P(ConformanceTest, AddsAViewAndLeavesTheRest) {
  run([](Communicator& world) {
    Tensor tensor = Tensor::of({4, 2}, {1, 1, 1, 1, 1, 1, 1, 1});
    Tensor rows = tensor.rows(1, 3);
    world.all_reduce_sum(rows).wait();
    const auto sum = static_cast<float>(world.size());
    EXPECT_EQ(core::to_floats(tensor), (std::vector<float>{1, 1, sum, sum, sum, sum, 1, 1}));
  });
}

TEST_P(ConformanceTest, AddsDoublesInRankOrder) {
  run([](Communicator& world) {
    std::vector<double> numbers;
    std::vector<double> want;
    for (const float x : awkward(world.rank(), 100)) numbers.push_back(double{x} / 3);
    for (const float x : awkward(0, 100)) want.push_back(double{x} / 3);
    for (int r = 1; r < world.size(); ++r) {
      const auto part = awkward(r, 100);
      for (std::size_t i = 0; i < part.size(); ++i) want[i] += double{part[i]} / 3;
    }
    world.all_reduce_sum(numbers).wait();
    EXPECT_EQ(numbers, want);
    std::vector<double> none;
    world.all_reduce_sum(none).wait();
    EXPECT_TRUE(none.empty());
  });
}

TEST_P(ConformanceTest, FindsTheLargestWords) {
  run([](Communicator& world) {
    const auto rank = static_cast<std::uint64_t>(world.rank());
    const auto last = static_cast<std::uint64_t>(world.size() - 1);
    std::array<std::uint64_t, 3> words{rank, last - rank, rank == last ? ~std::uint64_t{0} : 5};
    world.all_reduce_max(words).wait();
    EXPECT_EQ(words, (std::array<std::uint64_t, 3>{last, last, ~std::uint64_t{0}}));
  });
}

TEST_P(ConformanceTest, GathersInRankOrder) {
  run([](Communicator& world) {
    const auto rank = static_cast<float>(world.rank());
    const Tensor mine = Tensor::of({3}, {rank, rank + 0.5F, -rank});
    Tensor all = Tensor::zeros({world.size(), 3});
    world.all_gather(mine, all).wait();
    std::vector<float> want;
    for (int r = 0; r < world.size(); ++r) {
      const auto x = static_cast<float>(r);
      want.insert(want.end(), {x, x + 0.5F, -x});
    }
    EXPECT_EQ(core::to_floats(all), want);
  });
}

TEST_P(ConformanceTest, GathersBytesAndNothing) {
  run([](Communicator& world) {
    const Tensor mine = Tensor::of({1}, {static_cast<float>(world.rank() + 1)}, DType::kU8);
    Tensor all = Tensor::zeros({world.size()}, DType::kU8);
    world.all_gather(mine, all).wait();
    std::vector<float> want(static_cast<std::size_t>(world.size()));
    std::iota(want.begin(), want.end(), 1.0F);
    EXPECT_EQ(core::to_floats(all), want);
    Tensor none = Tensor::empty({0});
    world.all_gather(none, none).wait();
    EXPECT_EQ(none.bytes(), 0U);
  });
}

TEST_P(ConformanceTest, BroadcastsFromEveryRoot) {
  run([](Communicator& world) {
    for (int root = 0; root < world.size(); ++root) {
      const float mine = world.rank() == root ? 1.5F : 0.0F;
      Tensor tensor = Tensor::of({2, 2}, {mine, mine * 2, mine * 4, mine * 8}, DType::kBF16);
      world.broadcast(tensor, root).wait();
      EXPECT_EQ(core::to_floats(tensor), (std::vector<float>{1.5, 3, 6, 12}));
    }
  });
}

TEST_P(ConformanceTest, BroadcastsWhatIsLarge) {
  run([](Communicator& world) {
    const auto want = awkward(3, 400003);
    Tensor tensor = world.rank() == world.size() - 1 ? floats(want) : Tensor::zeros({400003});
    world.broadcast(tensor, world.size() - 1).wait();
    EXPECT_TRUE(same_bits(core::to_floats(tensor), want));
  });
}

TEST_P(ConformanceTest, BarriersMayFollowOneAnother) {
  run([](Communicator& world) {
    std::vector<Ticket> tickets;
    for (int i = 0; i < 20; ++i) tickets.push_back(world.barrier());
    for (auto& ticket : tickets) {
      ticket.wait();
      EXPECT_TRUE(ticket.done());
    }
  });
}

}  // namespace rw::comm::conformance
