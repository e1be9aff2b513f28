// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::kernels {

/// Number of OpenMP threads that kernels called from this thread will use; >= 1.
void set_threads(int count);
int threads();

}  // namespace rw::kernels
