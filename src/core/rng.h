// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "core/tensor.h"

namespace rw::core {

/// What random numbers are for: the `kind` field of noise contract C1 (papers/es_spsa.md §9.1).
enum class Purpose : std::uint8_t {
  kDataOrder = 0,
  kSpsa = 1,
  kEsA = 2,
  kEsB = 3,
  kVectorU = 4,
  kVectorV = 5,
  kRounding = 6,
  kSampling = 7,
  kInit = 8,
  kPlanning = 9
};

/// One cell of the counter space of contract C1: Philox4x32-10, key = seed (low word first),
/// counter = (block low 32 bits, tensor << 16 | kind << 8 | block high 8 bits, step, member). No
/// two different cells ever give the same counter.
struct RngCell {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::kInit;
  std::uint16_t tensor = 0;
  std::uint32_t step = 0;
  std::uint32_t member = 0;
};

/// Random words as a pure function of (cell, block), block < 2^40.
std::array<std::uint32_t, 4> philox(const RngCell& cell, std::uint64_t block);

/// Uniform double in [0, 1) with 53 bits: number i of the cell.
double uniform(const RngCell& cell, std::uint64_t i);

/// Fills f32 `out` with normal(0, std) numbers: element e is a function of (seed, name,
/// first_element + e) alone, so that every layout and every slice of a parameter starts from the
/// same weights. Box-Muller in f64.
void fill_normal(std::uint64_t seed, std::string_view name, float std, std::int64_t first_element,
                 Tensor& out);

/// splitmix64 finaliser (papers/data_boom.md §7.2) and FNV-1a of a name.
std::uint64_t mix64(std::uint64_t z);
std::uint64_t hash_name(std::string_view name);

}  // namespace rw::core
