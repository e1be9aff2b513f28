// Part of Ropewalk, MIT licence.
#include "core/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace rw::core {
namespace {

TEST(ErrorTest, EveryKindHasTheExitCodeOfTheInterface) {
  const std::pair<ErrorKind, int> codes[] = {
      {ErrorKind::kBug, 1},       {ErrorKind::kShape, 1},          {ErrorKind::kUsage, 2},
      {ErrorKind::kRecipe, 2},    {ErrorKind::kDataMalformed, 65}, {ErrorKind::kDataMissing, 66},
      {ErrorKind::kDevice, 69},   {ErrorKind::kNonFinite, 70},     {ErrorKind::kRankLost, 71},
      {ErrorKind::kComm, 71},     {ErrorKind::kHang, 72},          {ErrorKind::kStorage, 74},
      {ErrorKind::kPreempted, 75}};
  for (const auto& [kind, code] : codes) EXPECT_EQ(Error(kind, "x").exit_code(), code);
}

TEST(ErrorTest, ErrnoTextNamesTextAndNumber) {
  EXPECT_EQ(errno_text(ENOSPC), "No space left on device (errno 28)");
}

}  // namespace
}  // namespace rw::core
