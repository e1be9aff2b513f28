// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::kernels {
/// Fills the CPU's table of twins; call once at the start of main. Idempotent.
void register_cpu();
}  // namespace rw::kernels
