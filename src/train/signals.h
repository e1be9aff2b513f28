// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <string>

#include "core/signal_handlers.h"

namespace rw::train {

/// Handles USR1, USR2, TERM and INT from now on, for the life of the process: what comes before a
/// Signals object is made waits for it. TERM that nobody takes within a second ends the process with
/// 143, INT at once with 130; both say so, and nothing is saved. Needs no library but the system's.
void answer_signals();
/// Before the program is started anew in this process: what came and was not taken comes then, once
/// answer_signals() is called there. Without answer_signals(): does nothing.
void carry_signals_over_exec();

/// Takes USR1 (save and leave), USR2 (save) and TERM (leave at once) while it lives. Without
/// answer_signals() it handles them itself: what came before it was made is not seen, and the old
/// handlers are back after it. One object a process at a time: a second one is Error{kBug}.
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
