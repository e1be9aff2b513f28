// Part of Ropewalk, MIT licence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/json.h"
#include "recipe/keys.h"
#include "recipe_fixture.h"

namespace rw::recipe {
namespace {

using test::good_recipe;
using test::only;
using test::read;
using ::testing::HasSubstr;

std::string source_folder() {
  const char* folder = std::getenv("ROPEWALK_SOURCE");
  return folder == nullptr ? "." : folder;
}

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(Resolved, ReadsBackToTheSame) {
  const std::vector<std::vector<std::string>> changes{
      {},
      {"output_dir=\"with space/and #hash\"", "seed=18446744073709551615"},
      {"pipeline.stage_split=[4]", "optimizer.betas=[0.1, 0.2]", "model.eos_token_ids=[1, 2]",
       "model.bos_token_id=0"},
      {"data.sources=[{path: \"a b.h5\", weight: 0.25}, {path: c.h5, weight: 3}]",
       "data.order=spread"},
      {"model.rope_parameters.rope_type=llama3", "model.rope_parameters.factor=8",
       "model.rope_parameters.original_max_position_embeddings=64"}};
  for (const auto& overrides : changes) {
    const Loaded first = read(good_recipe(), overrides);
    EXPECT_EQ(only(first), "");
    const Loaded second = load_text(first.resolved_text, "resolved.yaml");
    EXPECT_EQ(only(second), "") << first.resolved_text;
    EXPECT_EQ(second.resolved_text, first.resolved_text);
  }
}

TEST(Recipes, ThoseInTheTreeAreGood) {
  Facts facts;
  facts.read_file = file_text;
  int count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(source_folder() + "/recipes")) {
    if (entry.path().extension() != ".yaml") continue;
    const Loaded loaded = load(entry.path().string(), {}, facts);
    EXPECT_EQ(only(loaded), "") << entry.path();
    const Loaded again = load_text(loaded.resolved_text, "resolved.yaml");
    EXPECT_EQ(again.resolved_text, loaded.resolved_text) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 5);
}

TEST(Schema, KnowsEveryKeyOnce) {
  const core::Json schema = core::Json::parse(json_schema());
  EXPECT_FALSE(schema["additionalProperties"].get<bool>());
  for (const Key& key : keys()) {
    const core::Json* at = &schema;
    std::string left = key.section;
    while (!left.empty()) {
      const auto dot = left.find('.');
      at = &at->at("properties").at(left.substr(0, dot));
      left = dot == std::string::npos ? "" : left.substr(dot + 1);
    }
    const core::Json& one = at->at("properties").at(key.name);
    EXPECT_TRUE(one.contains("type") || one.contains("enum") || one.contains("anyOf"))
        << key.path();
    EXPECT_THAT(one.at("description").get<std::string>(), HasSubstr(key.help));
  }
  EXPECT_THAT(schema["required"].get<std::vector<std::string>>(),
              ::testing::UnorderedElementsAre("method", "output_dir", "model", "train", "optimizer",
                                              "data"));
}

TEST(Keys, AreDeclaredOnceWithHelp) {
  std::map<std::string, int> seen;
  for (const Key& key : keys()) {
    EXPECT_EQ(++seen[key.path()], 1) << key.path();
    EXPECT_FALSE(key.help.empty()) << key.path();
  }
}

TEST(Markdown, ListsEveryKeyAndIsTheOneInDocs) {
  const std::string text = markdown();
  for (const Key& key : keys()) EXPECT_THAT(text, HasSubstr("| `" + key.name + "` |"));
  EXPECT_EQ(file_text(source_folder() + "/docs/recipe.md"), text)
      << "docs/recipe.md is out of date: ropewalk schema --markdown > docs/recipe.md";
}

}  // namespace
}  // namespace rw::recipe
