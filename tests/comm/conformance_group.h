// Part of Ropewalk, MIT licence.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "core/arena.h"
#include "core/error.h"
#include "tests/comm/fake_device.h"

namespace rw::comm::conformance {

using core::DType;
using core::ErrorKind;
using core::Tensor;
using Body = std::function<void(Communicator& world)>;
using ::testing::HasSubstr;

/// A way to have ranks: run(body) calls body on each of them and returns when all have ended.
struct Group {
  std::string name;
  std::function<void(const Body&)> run;
};

class ConformanceTest : public ::testing::TestWithParam<Group> {
 public:
  static void run(const Body& body) { GetParam().run(body); }
};

/// Numbers of very different size: another order of addition gives other bits.
inline std::vector<float> awkward(int rank, std::int64_t n) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto mixed = static_cast<std::uint64_t>(i * 7919 + rank * 104729 + 13) * 2654435761U;
    const float fraction = static_cast<float>(mixed % 16777213U) / 16777213.0F - 0.5F;
    out.push_back(std::ldexp(fraction, static_cast<int>((mixed >> 24U) % 25U)));
  }
  return out;
}

inline std::vector<float> sum_in_order(int size, std::int64_t n) {
  std::vector<float> sum = awkward(0, n);
  for (int r = 1; r < size; ++r) {
    const auto part = awkward(r, n);
    for (std::size_t i = 0; i < part.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

inline Tensor floats(const std::vector<float>& values, core::Device device = {}) {
  return Tensor::of({static_cast<std::int64_t>(values.size())}, values, DType::kF32, device);
}

inline core::Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const core::Error& error) {
    return error;
  }
  return {ErrorKind::kUsage, "no error"};
}

}  // namespace rw::comm::conformance
