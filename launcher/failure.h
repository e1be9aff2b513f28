// Part of Ropewalk, MIT licence.
#pragma once
#include <exception>
#include <string>

namespace rw::launcher {

/// How a command ends because of `error`.
struct Failure {
  int exit_code = 1;
  std::string message;
};
/// An Error says it itself; no memory and no thread to be had are the machine's (69); anything else
/// is a bug (1), and the message says so.
Failure failure_of(const std::exception& error);

/// A library that ends the process by itself with 1 (OpenMP without threads or memory, MPI without
/// what it needs to start) makes it 69 from now on, after the library's own message, until
/// exits_are_ours() is called.
void answer_exits_of_libraries();
void exits_are_ours();

}  // namespace rw::launcher
