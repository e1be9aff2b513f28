// Part of Ropewalk, MIT licence.
#include "comm/mpi_engine.h"

#include <gtest/gtest.h>

namespace rw::comm {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(MpiPatience, NapsGrowWithTheWait) {
  MpiPatience patience;
  const MpiPatience::Clock::time_point begin{};
  patience.moved(begin);
  const auto after = [&](microseconds quiet) { return patience.nap(begin + quiet); };
  EXPECT_EQ(after(microseconds(0)), microseconds(0));
  EXPECT_EQ(after(microseconds(19)), microseconds(0));
  EXPECT_EQ(after(microseconds(20)), microseconds(50));
  EXPECT_EQ(after(microseconds(6400)), microseconds(200));
  EXPECT_EQ(after(milliseconds(32)), microseconds(1000));
  EXPECT_EQ(after(milliseconds(900)), microseconds(1000));
  EXPECT_EQ(after(seconds(2)), microseconds(2000));
  EXPECT_EQ(after(seconds(3600)), microseconds(4000));
  patience.moved(begin + seconds(3600));
  EXPECT_EQ(after(seconds(3600)), microseconds(0));
}

}  // namespace
}  // namespace rw::comm
