// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <string>

#include "core/signal_handlers.h"

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
  std::optional<core::SignalHandlers<3>> handlers_;
};

/// The files SAVE (save) and STOP (save and leave) of a run's folder, removed when taken; a file
/// that cannot be removed is Error{kStorage}, as it would ask again for ever. Only rank 0 calls it.
Signals::Request take_trigger_files(const std::string& output_dir);

}  // namespace rw::train
