// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "core/tensor.h"

namespace rw::test {

using Numbers = std::vector<double>;

/// normal(0, std) numbers that depend on seed and shape alone.
inline core::Tensor random(const core::Shape& shape, std::uint64_t seed, float std = 1.0F) {
  core::Tensor out = core::Tensor::empty(shape);
  core::fill_normal(seed, "test", std, 0, out);
  return out;
}

inline core::Tensor nans(const core::Shape& shape) {
  return core::Tensor::of(
      shape, std::vector<float>(static_cast<std::size_t>(shape.elems()), std::nanf("")));
}

inline core::Tensor ints(const std::vector<std::int32_t>& values) {
  return core::Tensor::of_ints({static_cast<std::int64_t>(values.size())}, values);
}

inline core::Tensor copy_of(const core::Tensor& tensor) {
  core::Tensor out = core::Tensor::like(tensor);
  core::Stream stream;
  core::copy(tensor, out, stream);
  return out;
}

/// The same numbers in another dtype, rounded to nearest even.
inline core::Tensor as(const core::Tensor& tensor, core::DType dtype) {
  return core::Tensor::of(tensor.shape(), core::to_floats(tensor), dtype);
}
/// random() rounded to bf16, and the same numbers in f32.
inline core::Tensor random_bf16(const core::Shape& shape, std::uint64_t seed, float std = 1.0F) {
  return as(random(shape, seed, std), core::DType::kBF16);
}
inline core::Tensor widened(const core::Tensor& tensor) { return as(tensor, core::DType::kF32); }

inline Numbers numbers(const core::Tensor& tensor) {
  const std::vector<float> values = core::to_floats(tensor);
  return {values.begin(), values.end()};
}

/// max|got − want| / max|want|; infinite for different lengths or NaN.
inline double relative_error(const Numbers& got, const Numbers& want) {
  if (got.size() != want.size()) return INFINITY;
  double largest = 1e-30;
  double apart = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double distance = std::abs(got[i] - want[i]);
    if (!(distance < INFINITY)) return INFINITY;
    largest = std::max(largest, std::abs(want[i]));
    apart = std::max(apart, distance);
  }
  return apart / largest;
}
inline double relative_error(const core::Tensor& got, const Numbers& want) {
  return relative_error(numbers(got), want);
}

/// Largest error of numbers in bf16 that should be `want` rounded once, in half steps of bf16 at each
/// number: at most 1 but for errors before rounding, of which `slack` · max|want| are forgiven.
inline double rounding_error(const core::Tensor& got, const Numbers& want, double slack = 1e-6) {
  const Numbers have = numbers(got);
  if (got.dtype() != core::DType::kBF16 || have.size() != want.size()) return INFINITY;
  double largest = 1e-30;
  for (const double number : want) largest = std::max(largest, std::abs(number));
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double distance = std::abs(have[i] - want[i]);
    if (!(distance < INFINITY)) return INFINITY;
    worst = std::max(worst, (distance - slack * largest) * 256 / (std::abs(want[i]) + 1e-37));
  }
  return worst;
}

/// Gradient of f at x by central differences of step h in f64.
inline Numbers numeric_gradient(const std::function<double(const Numbers&)>& f, Numbers x,
                                double h = 1e-5) {
  Numbers out;
  for (double& number : x) {
    const double kept = number;
    number = kept + h;
    const double above = f(x);
    number = kept - h;
    const double below = f(x);
    number = kept;
    out.push_back((above - below) / (2 * h));
  }
  return out;
}

inline double dot(const Numbers& a, const Numbers& b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out += a[i] * b[i];
  return out;
}

/// What the call's Error says; "no error" when it returns.
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const core::Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace rw::test
