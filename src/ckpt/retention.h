// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "ckpt/folder.h"
#include "ckpt/options.h"
#include "store/store.h"

namespace rw::ckpt {

/// Which checkpoints of a run stay. `folder` is output_dir/checkpoints, which may be a link that the
/// user made; below it no link is followed: of a step folder that is one only the link goes.
/// Errors: Error{kStorage}.

/// Moves all that was committed after `kept` into quarantine/: it belongs to a course that was left,
/// or is damaged. `alone`: all that was committed before it too. From the first moment on
/// list_committed() lists nothing later, whatever kills us.
void go_back_to(store::Store& store, const std::string& folder, const StepFolder& kept, bool alone);

/// Removes checkpoints that the options let go, and what dead jobs left; `newest` stays.
void retain(store::Store& store, const std::string& folder, const Options& options,
            const StepFolder& newest);

/// Removes what was never committed, and what a removal left that was cut short. Returns the names.
std::vector<std::string> remove_uncommitted(store::Store& store, const std::string& folder);

}  // namespace rw::ckpt
