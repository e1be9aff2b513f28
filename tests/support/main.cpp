// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include "kernels/register.h"

int main(int argc, char** argv) {
  rw::kernels::register_cpu();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
