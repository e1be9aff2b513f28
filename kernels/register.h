// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::kernels {
/// Fills the CPU's table of twins and that of dry runs (core/dry_run.h), whose kernels do nothing;
/// call once at the start of main. Idempotent.
void register_cpu();
}  // namespace rw::kernels
