// Part of Ropewalk, MIT licence.
#include "data/permutation.h"

#include <bit>
#include <numeric>
#include <utility>

#include "core/rng.h"

namespace rw::data {
namespace {

using core::mix64;

/// The top `bits` bits of `x`, 1 <= bits <= 63.
std::uint64_t top(std::uint64_t x, int bits) { return x >> (64 - bits); }

/// High 64 bits of the 128-bit product.
std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(a) * b) >> 64);
}

}  // namespace

std::uint64_t key4(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
  return mix64(mix64(mix64(mix64(a) ^ b) ^ c) ^ d);
}

Feistel::Feistel(std::uint64_t n, std::uint64_t key) : n_(n) {
  const int bits = n <= 4 ? 2 : static_cast<int>(std::bit_width(n - 1));
  low_bits_ = (bits + 1) / 2;
  high_bits_ = bits - low_bits_;
  for (std::uint64_t r = 0; r < keys_.size(); ++r) keys_[r] = mix64(key + r);
}

std::uint64_t Feistel::encrypt(std::uint64_t x) const {
  const std::uint64_t mask = (std::uint64_t{1} << low_bits_) - 1;
  std::uint64_t high = x >> low_bits_;
  std::uint64_t low = x & mask;
  for (std::size_t r = 0; r < keys_.size(); r += 2) {
    high ^= top(mix64(low ^ keys_[r]), high_bits_);
    low ^= top(mix64(high ^ keys_[r + 1]), low_bits_);
  }
  return (high << low_bits_) | low;
}

std::uint64_t Feistel::decrypt(std::uint64_t x) const {
  const std::uint64_t mask = (std::uint64_t{1} << low_bits_) - 1;
  std::uint64_t high = x >> low_bits_;
  std::uint64_t low = x & mask;
  for (std::size_t r = keys_.size(); r > 0; r -= 2) {
    low ^= top(mix64(high ^ keys_[r - 1]), low_bits_);
    high ^= top(mix64(low ^ keys_[r - 2]), high_bits_);
  }
  return (high << low_bits_) | low;
}

std::uint64_t Feistel::at(std::uint64_t i) const {
  do {
    i = encrypt(i);
  } while (i >= n_);
  return i;
}

std::uint64_t Feistel::inverse(std::uint64_t i) const {
  do {
    i = decrypt(i);
  } while (i >= n_);
  return i;
}

std::vector<std::uint32_t> fisher_yates(std::uint32_t n, std::uint64_t key) {
  std::vector<std::uint32_t> out(n);
  std::iota(out.begin(), out.end(), 0U);
  for (std::uint64_t i = n; i-- > 1;) {
    const std::uint64_t j = multiply_high(mix64(key + i), i + 1);
    std::swap(out[i], out[j]);
  }
  return out;
}

Permutation::Permutation(std::uint64_t n, std::uint64_t key) : feistel_(n, key) {
  if (n <= kMostMaterialised) table_ = fisher_yates(static_cast<std::uint32_t>(n), key);
}

}  // namespace rw::data
