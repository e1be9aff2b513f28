// Part of Ropewalk, MIT licence.
// Sums that travel as bf16, and sums of which every rank keeps its part.
#pragma once
#include "core/dtype.h"
#include "tests/comm/conformance_group.h"

namespace rw::comm::conformance {

inline float as_bf16(float x) { return static_cast<float>(core::BF16(x)); }

/// What a bf16 wire makes of the sum; with one rank nothing travels.
inline std::vector<float> bf16_sum_in_order(int size, std::int64_t n) {
  std::vector<float> sum = awkward(0, n);
  if (size == 1) return sum;
  for (float& x : sum) x = as_bf16(x);
  for (int r = 1; r < size; ++r) {
    const auto part = awkward(r, n);
    for (std::size_t i = 0; i < part.size(); ++i) sum[i] += as_bf16(part[i]);
  }
  for (float& x : sum) x = as_bf16(x);
  return sum;
}

inline std::vector<float> sum_on(Wire wire, int size, std::int64_t n) {
  return wire == Wire::kF32 ? sum_in_order(size, n) : bf16_sum_in_order(size, n);
}

/// Parts of very different size, some of them empty: part r begins at begins[r].
inline std::vector<std::int64_t> ragged_begins(int size, std::int64_t n) {
  std::vector<std::int64_t> out{0};
  for (int r = 1; r < size; ++r) out.push_back(r == 2 ? out.back() : n * r * r / (size * size));
  out.push_back(n);
  return out;
}

inline std::vector<Tensor> parts_at(const Tensor& tensor, const std::vector<std::int64_t>& begins) {
  std::vector<Tensor> out;
  for (std::size_t r = 0; r + 1 < begins.size(); ++r) {
    out.push_back(tensor.flat(begins[r], begins[r + 1]));
  }
  return out;
}

TEST_P(ConformanceTest, AddsBf16OnTheWireInF32AndRankOrder) {
  run([](Communicator& world) {
    for (const std::int64_t n : {0, 1, 7, 1024, 1025, 2049, 4099, 300001}) {
      Tensor tensor = floats(awkward(world.rank(), n));
      world.all_reduce_sum(tensor, Wire::kBF16).wait();
      EXPECT_TRUE(same_bits(core::to_floats(tensor), bf16_sum_in_order(world.size(), n))) << n;
    }
  });
}

TEST_P(ConformanceTest, TheCutIntoBucketsChangesNoBitOnABf16Wire) {
  run([](Communicator& world) {
    const std::int64_t n = 5003;
    const auto want = bf16_sum_in_order(world.size(), n);
    for (const std::int64_t bucket : {999, 1025, 2501}) {
      Tensor tensor = floats(awkward(world.rank(), n));
      std::vector<Ticket> tickets;
      for (std::int64_t at = 0; at < n; at += bucket) {
        Tensor part = tensor.flat(at, std::min(n, at + bucket));
        tickets.push_back(world.all_reduce_sum(part, Wire::kBF16));
      }
      for (auto& ticket : tickets) ticket.wait();
      EXPECT_TRUE(same_bits(core::to_floats(tensor), want)) << bucket;
    }
  });
}

TEST_P(ConformanceTest, KeepsThePartOfTheSumThatItOwns) {
  run([](Communicator& world) {
    for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
      for (const std::int64_t n : {0, 3, 1025, 300001}) {
        const auto begins = ragged_begins(world.size(), n);
        Tensor tensor = floats(awkward(world.rank(), n));
        auto parts = parts_at(tensor, begins);
        world.reduce_scatter_sum(parts, wire).wait();
        auto want = awkward(world.rank(), n);  // what others own stays
        const auto sum = sum_on(wire, world.size(), n);
        const auto me = static_cast<std::size_t>(world.rank());
        std::copy(sum.begin() + begins[me], sum.begin() + begins[me + 1],
                  want.begin() + begins[me]);
        EXPECT_TRUE(same_bits(core::to_floats(tensor), want)) << wire_name(wire) << " " << n;
      }
    }
  });
}

TEST_P(ConformanceTest, PartsAddedAndGatheredAreTheWholeSum) {
  run([](Communicator& world) {
    for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
      for (const std::int64_t n : {1, 2000, 70001}) {
        Tensor tensor = floats(awkward(world.rank(), n));
        auto parts = parts_at(tensor, ragged_begins(world.size(), n));
        world.reduce_scatter_sum(parts, wire).wait();
        world.all_gather_parts(parts).wait();
        EXPECT_TRUE(same_bits(core::to_floats(tensor), sum_on(wire, world.size(), n)));
      }
    }
  });
}

TEST_P(ConformanceTest, GathersPartsOfAnyDtype) {
  run([](Communicator& world) {
    Tensor bytes = Tensor::zeros({3L * world.size()}, DType::kU8);
    std::vector<std::int64_t> begins;
    for (int r = 0; r <= world.size(); ++r) begins.push_back(3L * r);
    auto parts = parts_at(bytes, begins);
    const auto mine = static_cast<float>(world.rank() + 1);
    const Tensor value = Tensor::of({3}, {mine, mine * 2, mine * 3}, DType::kU8);
    core::Stream stream;
    core::copy(value, parts[static_cast<std::size_t>(world.rank())], stream);
    world.all_gather_parts(parts).wait();
    std::vector<float> want;
    for (int r = 1; r <= world.size(); ++r) {
      for (int k = 1; k <= 3; ++k) want.push_back(static_cast<float>(r * k));
    }
    EXPECT_EQ(core::to_floats(bytes), want);
  });
}

TEST_P(ConformanceTest, PartsMayLieOnADevice) {
  const test::FakeDevice fake;
  run([](Communicator& world) {
    for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
      Tensor tensor = floats(awkward(world.rank(), 3001), test::FakeDevice::device());
      auto parts = parts_at(tensor, ragged_begins(world.size(), 3001));
      world.reduce_scatter_sum(parts, wire).wait();
      world.all_gather_parts(parts).wait();
      EXPECT_TRUE(same_bits(core::to_floats(tensor), sum_on(wire, world.size(), 3001)));
    }
  });
}

TEST_P(ConformanceTest, RefusesPartsThatAreNotOnePerRank) {
  run([](Communicator& world) {
    std::vector<Tensor> many(static_cast<std::size_t>(world.size()) + 1, Tensor::zeros({2}));
    const auto message = [](const std::function<void()>& call) {
      return std::string(error_of(call).what());
    };
    EXPECT_THAT(message([&] { (void)world.reduce_scatter_sum(many, Wire::kF32); }),
                HasSubstr("reduce_scatter_sum: got " + std::to_string(many.size()) + " parts"));
    EXPECT_THAT(message([&] { (void)world.all_gather_parts(many); }),
                HasSubstr("all_gather_parts: got"));
    std::vector<Tensor> halves(static_cast<std::size_t>(world.size()),
                               Tensor::zeros({2}, DType::kBF16));
    EXPECT_THAT(message([&] { (void)world.reduce_scatter_sum(halves, Wire::kF32); }),
                HasSubstr("want f32"));
    world.barrier().wait();  // refused calls do not count
  });
}

}  // namespace rw::comm::conformance
