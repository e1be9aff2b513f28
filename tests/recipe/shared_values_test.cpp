// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <map>

#include "recipe/keys.h"
#include "tests/recipe/recipe_fixture.h"

namespace rw::recipe {
namespace {

std::map<std::string, std::string> values(const std::vector<std::string>& overrides = {}) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] :
       shared_values(test::read(test::good_recipe(), overrides).recipe)) {
    EXPECT_TRUE(out.emplace(key, value).second) << key;
  }
  return out;
}

TEST(SharedValues, HoldEveryKeyThatHasAValueInOneLine) {
  const auto all = values({"data.sources=[{path: a.h5, weight: 2}, {path: \"b c.h5\"}]"});
  EXPECT_EQ(all.at("optimizer.lr"), "0.001");
  EXPECT_EQ(all.at("data.sources"), "- {path: a.h5, weight: 2} - {path: \"b c.h5\", weight: 1}");
  EXPECT_EQ(all.count("model.from"), 0U);
}

TEST(SharedValues, DifferWithOneKeyInThatKeyAlone) {
  const auto before = values();
  for (const auto& [key, value] : std::map<std::string, std::string>{{"seed", "99"},
                                                                     {"train.max_steps", "21"},
                                                                     {"precision", "bf16"},
                                                                     {"watchdog.step_s", "7"}}) {
    const auto after = values({key + "=" + value});
    ASSERT_EQ(after.size(), before.size());
    for (const auto& [name, text] : after) EXPECT_EQ(text != before.at(name), name == key) << name;
  }
}

TEST(SharedValues, LeaveOutWhatEachRankMayHaveOfItsOwn) {
  EXPECT_EQ(values(), values({"data.loader_threads=7", "data.prefetch_steps=9"}));
}

}  // namespace
}  // namespace rw::recipe
