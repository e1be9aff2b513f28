// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::launcher {

/// What holds from the first moment of the process on, before libraries and main start: descriptors
/// 0 to 2 are there (one that was closed fails whoever uses it, and no file that is opened later
/// takes its number); a stack or an address space (ulimit -s, -v) too small for any command ends it
/// with 69, which says so; SIGPIPE and SIGXFSZ are errors of the write that met them; `train` answers
/// USR1, USR2, TERM and INT (train/signals.h). Calling it again changes nothing.
void stand_ready(char** argv);

/// Of the main thread and of OpenMP's: a choice; commands ran with less.
inline constexpr std::uint64_t kLeastStackBytes = std::uint64_t{512} << 10;

/// The command: the first word that is no option; nullptr when there is none.
const char* command_of(char** argv);

}  // namespace rw::launcher
