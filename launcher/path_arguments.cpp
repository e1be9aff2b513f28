// Part of Ropewalk, MIT licence.
#include "launcher/path_arguments.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/typed_path.h"
#include "launcher/home.h"

namespace rw::launcher {
namespace {

/// Texts in which these characters mean themselves; in overrides the recipe's reader knows.
constexpr std::array kTexts{"overrides",   "--set",         "--prompt",
                            "--end-token", "--jsonl-field", "--strip-prefix"};

bool is_text(const CLI::Option& option) {
  return std::any_of(kTexts.begin(), kTexts.end(),
                     [&](const char* name) { return option.check_name(name); });
}

CLI::Validator typed_path() {
  return {[](std::string& text) {
            const auto typed = core::typed_path(text, home_folder());
            text = typed.path;
            return typed.problem;
          },
          ""};
}

}  // namespace

void take_typed_paths(CLI::App& app) {
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    const bool flag = option->get_type_size() == 0;
    if (!flag && !is_text(*option)) option->transform(typed_path());
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    take_typed_paths(*command);
  }
}

}  // namespace rw::launcher
