// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

#include "core/handle.h"

namespace rw::store {

struct DescriptorPolicy {
  using Native = int;
  static int none() { return -1; }
  static void close(int descriptor) noexcept;
};
using Descriptor = core::Handle<DescriptorPolicy>;

/// A regular file, open for reading, and its size then.
struct RegularFile {
  Descriptor descriptor;
  std::uint64_t bytes = 0;
};

/// Opens a file to read and never waits, whatever stands in its place. Throws Error{kDataMissing}:
/// nothing there, a folder, or no permission; Error{kDataMalformed}: a pipe, device or socket;
/// Error{kStorage} when the system fails. The message begins with the path.
RegularFile open_regular(const std::string& path);

/// "a folder", "a pipe", … for the file type in a stat's st_mode.
const char* file_type_name(unsigned mode);

}  // namespace rw::store
