// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::core {

/// Lines for people, to stderr (and to output_dir/log/rank-N.txt once that is known). Thread-safe.
/// Control characters are escaped (core/printable.h).
/// Library rooms do not print; they may log what an operator must see although the run goes on.
void log_info(const std::string& line);
void log_warning(const std::string& line);
void log_error(const std::string& line);

/// Which rank speaks: with `world` > 1 lines of other ranks than 0 reach stderr only from warning
/// upwards, with "[rank r]".
void log_set_rank(int rank, int world);
/// Adds a file that gets every line. Throws Error{kStorage} when it cannot be opened.
void log_add_file(const std::string& path);

}  // namespace rw::core
