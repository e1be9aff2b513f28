// Part of Ropewalk, MIT licence.
#include "launcher/leave.h"

#include <algorithm>

#include "comm/session.h"
#include "core/error.h"
#include "core/log.h"
#include "launcher/ranks.h"

namespace rw::launcher {
namespace {

/// Whether this command line starts a job of ranks; all others ignore a launcher's environment.
bool starts_ranks(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  for (const std::string& word : arguments) {
    if (word.rfind('-', 0) != 0) words.push_back(word);
  }
  if (words.empty()) return false;
  if (words[0] == "bench") return words.size() > 1 && words[1] == "train";
  const bool profile =
      std::find(arguments.begin(), arguments.end(), "--profile") != arguments.end();
  return words[0] == "train" || (words[0] == "plan" && profile);
}

}  // namespace

int leave(const std::vector<std::string>& arguments, int exit_code, const std::string& text) {
  try {
    if (starts_ranks(arguments) && !comm::MpiSession::begun()) {
      return fail_start(find_place(), exit_code, text);
    }
  } catch (const core::Error&) {  // there is no telling where this process is
  }
  core::log_error(text);
  return exit_code;
}

}  // namespace rw::launcher
