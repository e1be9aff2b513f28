// Part of Ropewalk, MIT licence.
#pragma once
namespace rw::launcher {

/// The OpenMP threads that OMP_NUM_THREADS asks for; 0: the variable is not set. Throws Error{kUsage}
/// naming the variable for anything but one whole number that a machine of this size can serve and
/// OMP_THREAD_LIMIT allows.
int asked_threads();

/// Cores that this process may run on; >= 1.
int usable_cores();

/// Starts `count` threads with the stacks that OpenMP's will have, and ends them: OpenMP, which would
/// end the process without a word of ours, then finds them too. Throws Error{kUsage} naming
/// OMP_STACKSIZE, where that is set and is no size, too little or more than the system gives; else Error{kDevice}.
/// Cost: the start of a thread, `count` times.
void try_threads(int count);
/// The same for all OpenMP threads of this process, as a command without ranks uses them.
/// Throws what asked_threads() throws, too.
void try_own_threads();

}  // namespace rw::launcher
