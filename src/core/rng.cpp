// Part of Ropewalk, MIT licence.
#include "core/rng.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "core/dry_run.h"

namespace rw::core {

std::array<std::uint32_t, 4> philox(const RngCell& cell, std::uint64_t block) {
  const r123::Philox4x32 generator;
  r123::Philox4x32::ctr_type counter{};
  counter[0] = static_cast<std::uint32_t>(block);
  counter[1] = (std::uint32_t{cell.tensor} << 16) |
               (static_cast<std::uint32_t>(cell.purpose) << 8) |
               static_cast<std::uint32_t>((block >> 32) & 0xffU);
  counter[2] = cell.step;
  counter[3] = cell.member;
  r123::Philox4x32::key_type key{};
  key[0] = static_cast<std::uint32_t>(cell.seed);
  key[1] = static_cast<std::uint32_t>(cell.seed >> 32);
  const auto words = generator(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

double uniform(const RngCell& cell, std::uint64_t i) {
  const auto words = philox(cell, i / 2);
  const std::size_t at = (i % 2) * 2;
  const std::uint64_t bits = (std::uint64_t{words[at]} << 32) | words[at + 1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

void fill_normal(std::uint64_t seed, std::string_view name, float std, std::int64_t first_element,
                 Tensor& out) {
  if (DryRun::current() != nullptr) return;  // nothing would come of it
  const RngCell cell{.seed = mix64(seed ^ hash_name(name)), .purpose = Purpose::kInit};
  std::vector<float> host(static_cast<std::size_t>(out.elems()));
  const auto first = static_cast<std::uint64_t>(first_element);
  for (std::size_t i = 0; i < host.size();) {
    // Block b holds elements 2b and 2b + 1: one pair of uniforms, one pair of normals.
    const std::uint64_t element = first + i;
    const auto words = philox(cell, element / 2);
    const double u1 = (static_cast<double>(words[0]) + 0.5) * 0x1.0p-32;
    const double u2 = static_cast<double>(words[1]) * 0x1.0p-32;
    const double radius = std::sqrt(-2.0 * std::log(u1));
    const double angle = 2.0 * std::numbers::pi * u2;
    const double pair[2] = {radius * std::cos(angle), radius * std::sin(angle)};
    for (std::size_t k = element % 2; k < 2 && i < host.size(); ++k, ++i) {
      host[i] = static_cast<float>(pair[k] * static_cast<double>(std));
    }
  }
  copy_from_host(host.data(), host.size() * sizeof(float), out);
}

std::uint64_t mix64(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace rw::core
