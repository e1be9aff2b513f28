// Part of Ropewalk, MIT licence.
#include "kernels/register.h"

namespace rw::kernels {
void register_cpu() {}
}  // namespace rw::kernels
