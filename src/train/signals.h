// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <csignal>
#include <string>

namespace rw::train {

/// Takes USR1 (save and leave), USR2 (save) and TERM (leave at once) while it lives; then the old
/// handlers are back. One object a process at a time: a second one is Error{kBug}. What came before
/// it was made is not seen.
class Signals {
 public:
  struct Request {
    bool save = false, leave = false, at_once = false;
  };
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();
  /// What came since the last call; from any thread.
  Request take();

 private:
  std::array<struct sigaction, 3> old_{};
};

/// The files SAVE (save) and STOP (save and leave) of a run's folder, removed when taken; a file
/// that cannot be removed is Error{kStorage}, as it would ask again for ever. Only rank 0 calls it.
Signals::Request take_trigger_files(const std::string& output_dir);

}  // namespace rw::train
