// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::launcher {

/// How long a thread of OpenMP spins at the end of a loop before it sleeps decides how well ranks,
/// workers and communication threads share cores. libgomp reads that from its environment when it
/// is loaded, before main: for a command that computes (train, bench, eval, generate) this sets
/// GOMP_SPINCOUNT (docs/performance.md says to what, and why) and starts the program anew in this
/// process, once, with the same arguments. Returns when there is nothing to do: another command, or
/// the user chose OMP_WAIT_POLICY or GOMP_SPINCOUNT, which is also what ends it the second time; or
/// when the program cannot be started anew. No number depends on it. Cost: 0.03 s.
void set_waiting_policy(char** argv);

}  // namespace rw::launcher
