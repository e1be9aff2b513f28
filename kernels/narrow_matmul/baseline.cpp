// Part of Ropewalk, MIT licence.
// Compiled for its instruction set: see kernels/CMakeLists.txt.
#include "kernels/narrow_matmul/tile.h"

namespace rw::kernels {
constinit const NarrowLoops kNarrowBaseline = loops<4>();
}  // namespace rw::kernels
