// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::ckpt {

struct Options {
  std::int64_t interval = 0;       // steps between checkpoints; 0: only at the end and on request
  std::int64_t keep_latest_k = 2;  // >= 1
  std::int64_t keep_every = 0;  // steps; checkpoints at multiples of it are kept for ever; 0: none
};

}  // namespace rw::ckpt
