// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "store/store.h"

namespace rw::store {

/// A tree of files in memory, for tests: the same errors as posix, word for word. "." and "/" are
/// there from the start. Thread-safe; a file that is open keeps its bytes when its name goes.
std::unique_ptr<Store> make_memory();

}  // namespace rw::store
