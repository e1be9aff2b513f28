// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::store {

/// Throws Error{kStorage} "path: operation failed: errno text", with advice when the disk is full.
[[noreturn]] void fail_storage(const std::string& path, const std::string& operation,
                               int error_number);

}  // namespace rw::store
