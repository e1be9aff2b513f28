// Part of Ropewalk, MIT licence.
#include "store/failure.h"

#include <fmt/format.h>

#include <cerrno>

#include "core/error.h"

namespace rw::store {

void fail_storage(const std::string& path, const std::string& operation, int error_number) {
  const char* advice =
      error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG
          ? "; free some space and start again (a training goes on with --resume auto)"
          : "";
  throw core::Error(core::ErrorKind::kStorage, fmt::format("{}: {} failed: {}{}", path, operation,
                                                           core::errno_text(error_number), advice));
}

}  // namespace rw::store
