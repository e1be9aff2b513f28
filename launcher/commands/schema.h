// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::launcher {

struct SchemaOptions {
  bool markdown = false;
};

/// Prints the JSON Schema of recipes, or docs/recipe.md.
int run_schema(const SchemaOptions& options);

}  // namespace rw::launcher
