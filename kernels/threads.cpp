// Part of Ropewalk, MIT licence.
#include "kernels/threads.h"

#include <omp.h>

namespace rw::kernels {

void set_threads(int count) { omp_set_num_threads(count < 1 ? 1 : count); }
int threads() { return omp_get_max_threads(); }

}  // namespace rw::kernels
