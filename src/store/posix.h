// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>

#include "store/store.h"

namespace rw::store {

/// The file system, by system calls. Thread-safe; files handed out are used by one thread at a
/// time, readable ones by any number.
std::unique_ptr<Store> make_posix();

}  // namespace rw::store
