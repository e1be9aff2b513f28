// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "model/options.h"

namespace rw::launcher {

/// What this machine reaches on what no step can do without, measured with the OpenMP threads of
/// the calling thread.
struct GemmLimit {
  double flops = 0;    // of all products of one micro-batch
  double seconds = 0;  // they take alone, best of several
  double rate() const { return flops / seconds; }
};

/// Every product of one micro-batch of `rows` tokens through the whole model, alone: each linear
/// layer forward, towards its input and towards its weight, operands of `dtype`. Takes some
/// times as long as a step.
GemmLimit measure_gemms(const model::Options& model, core::DType dtype, std::int64_t rows);

/// Bytes per second of c = a + b over three arrays far larger than the caches: two reads, one
/// write (the line that a write reads first is not counted).
double measure_bandwidth();

}  // namespace rw::launcher
