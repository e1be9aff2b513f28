// Part of Ropewalk, MIT licence.
#include "core/error.h"

#include <system_error>

namespace rw::core {

int Error::exit_code() const {
  switch (kind_) {
    case ErrorKind::kBug:
    case ErrorKind::kShape:
      return 1;
    case ErrorKind::kUsage:
    case ErrorKind::kRecipe:
      return 2;
    case ErrorKind::kDataMalformed:
      return 65;
    case ErrorKind::kDataMissing:
      return 66;
    case ErrorKind::kDevice:
      return 69;
    case ErrorKind::kNonFinite:
      return 70;
    case ErrorKind::kRankLost:
    case ErrorKind::kComm:
      return 71;
    case ErrorKind::kHang:
      return 72;
    case ErrorKind::kStorage:
      return 74;
    case ErrorKind::kPreempted:
      return 75;
  }
  return 1;
}

std::string errno_text(int error_number) {
  return std::generic_category().message(error_number) + " (errno " + std::to_string(error_number) +
         ")";
}

}  // namespace rw::core
