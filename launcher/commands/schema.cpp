// Part of Ropewalk, MIT licence.
#include "launcher/commands/schema.h"

#include <iostream>

#include "recipe/recipe.h"

namespace rw::launcher {

int run_schema(const SchemaOptions& options) {
  std::cout << (options.markdown ? recipe::markdown() : recipe::json_schema());
  return 0;
}

}  // namespace rw::launcher
