// Part of Ropewalk, MIT licence.
#include "optim/clip.h"

#include <algorithm>

namespace rw::optim {

double clip_factor(double norm, double max_norm) {
  if (max_norm <= 0) return 1.0;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace rw::optim
