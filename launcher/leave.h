// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

/// Ends a command with `text`, which this process says, or rank 0 of its job (fail_start), and returns
/// the code to leave with. `arguments`: the command line behind the program's name.
int leave(const std::vector<std::string>& arguments, int exit_code, const std::string& text);

}  // namespace rw::launcher
