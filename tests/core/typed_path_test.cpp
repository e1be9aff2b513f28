// Part of Ropewalk, MIT licence.
#include "core/typed_path.h"

#include <gmock/gmock.h>

namespace rw::core {
namespace {

using ::testing::HasSubstr;

TEST(TypedPathTest, TildeIsTheHomeFolder) {
  EXPECT_EQ(typed_path("~/runs/x", "/home/u").path, "/home/u/runs/x");
  EXPECT_EQ(typed_path("~//runs/x/", "/home/u/").path, "/home/u/runs/x/");
  EXPECT_EQ(typed_path("~", "/home/u").path, "/home/u");
  EXPECT_EQ(typed_path("~/", "/home/u").path, "/home/u");
  EXPECT_EQ(typed_path("~/x", "/").path, "/x");
}

TEST(TypedPathTest, OtherPathsStay) {
  for (const char* text : {"", "runs/x", "/a/b", "./~/x", "a/~/x", "x~", "~draft.yaml", "a$b", "$",
                           "a{b}", "cost$/x", "$5"}) {
    EXPECT_EQ(typed_path(text, "/home/u").path, text);
    EXPECT_EQ(typed_path(text, "/home/u").problem, "") << text;
  }
}

TEST(TypedPathTest, WhatAShellWouldReplaceIsRefused) {
  for (const char* text : {"${HOME}/x", "runs/${USER}", "$HOME/x", "$SCRATCH", "~/${X}"}) {
    EXPECT_THAT(typed_path(text, "/home/u").problem, HasSubstr("a path without variables"));
  }
  EXPECT_THAT(typed_path("~user/x", "/home/u").problem, HasSubstr("want ~/"));
  EXPECT_THAT(typed_path("~/x", "").problem, HasSubstr("HOME is not set"));
}

}  // namespace
}  // namespace rw::core
