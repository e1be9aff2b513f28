// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>

#include "core/rng.h"

namespace rw::planner {

/// A stream of random numbers: Philox words one after the other, a function of (seed, stream) alone.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint32_t stream)
      : cell_{.seed = seed, .purpose = core::Purpose::kPlanning, .member = stream} {}

  /// 0 .. n - 1; n >= 1.
  int below(int n) {
    return static_cast<int>((std::uint64_t{word()} * static_cast<std::uint64_t>(n)) >> 32);
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(word()) + 0.5) * 0x1.0p-32; }

 private:
  std::uint32_t word() {
    if (at_ == words_.size()) {
      words_ = core::philox(cell_, block_++);
      at_ = 0;
    }
    return words_[at_++];
  }

  core::RngCell cell_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  std::size_t at_ = 4;
};

}  // namespace rw::planner
