// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace rw::data {

/// Names the algorithms below; part of every digest of an order.
inline constexpr const char* kPermutationVersion = "feistel8-v1+fy-v1";

/// Chained splitmix64: the key of one permutation (papers/data_boom.md §7.2).
std::uint64_t key4(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d);

/// A pseudo-random order of 0 .. n - 1 that needs no table: the 8-round Feistel network with cycle
/// walking "feistel8-v1" (papers/data_boom.md §7.2). n >= 1. About 50 ns a call.
class Feistel {
 public:
  Feistel(std::uint64_t n, std::uint64_t key);
  std::uint64_t at(std::uint64_t i) const;       // i < n
  std::uint64_t inverse(std::uint64_t i) const;  // at(inverse(i)) == i

 private:
  std::uint64_t encrypt(std::uint64_t x) const;
  std::uint64_t decrypt(std::uint64_t x) const;
  std::uint64_t n_;
  int low_bits_ = 1, high_bits_ = 1;
  std::array<std::uint64_t, 8> keys_{};
};

/// A materialised Fisher-Yates shuffle "fy-v1" of 0 .. n - 1 (papers/data_boom.md §7.2).
std::vector<std::uint32_t> fisher_yates(std::uint32_t n, std::uint64_t key);

/// The permutation of n items by the rule of the paper note: Fisher-Yates up to 4096, Feistel above.
/// Immutable, thread-safe.
class Permutation {
 public:
  static constexpr std::uint64_t kMostMaterialised = 4096;
  Permutation(std::uint64_t n, std::uint64_t key);
  std::uint64_t at(std::uint64_t i) const {
    return table_.empty() ? feistel_.at(i) : table_[static_cast<std::size_t>(i)];
  }

 private:
  Feistel feistel_;
  std::vector<std::uint32_t> table_;
};

}  // namespace rw::data
