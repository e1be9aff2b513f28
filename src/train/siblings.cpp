// Part of Ropewalk, MIT licence.
#include "train/siblings.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string_view>

namespace rw::train {
namespace {

namespace fs = std::filesystem;

/// A child of this process' parent that is a rank.
struct Sibling {
  fs::path folder;  // /proc/PID
  char state = 0;
  std::string rank, environment;
};

std::string read_file(const fs::path& path) {
  std::ostringstream text;  // no iterators: they throw when the process ends while it is read
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The state in /proc/PID/stat when it is that of a child of this process' parent; else 0.
char state_of_sibling(const std::string& stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(stat.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent == ::getppid() ? state : '\0';
}

/// The value of `name` in the environment of /proc/PID/environ; empty: not there.
std::string variable(const std::string& environment, const std::string& name) {
  const std::string text = '\0' + environment;
  const std::string key = '\0' + name + '=';
  const auto found = text.find(key);
  return found == std::string::npos ? "" : std::string(text.c_str() + found + key.size());
}

void for_each_sibling(std::span<const char* const> rank_variables,
                      const std::function<void(const Sibling&)>& use) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc", code)) {
    Sibling one{entry.path(), state_of_sibling(read_file(entry.path() / "stat")), "", ""};
    if (one.state == 0) continue;
    one.environment = read_file(entry.path() / "environ");
    for (const char* name : rank_variables) {
      one.rank = variable(one.environment, name);
      if (one.rank.empty()) continue;
      use(one);
      break;
    }
  }
}

/// The variables that a launcher does not set for each rank.
std::set<std::string> common_variables(const std::string& environment) {
  constexpr std::array<std::string_view, 5> kLaunchers{"OMPI_", "PMIX_", "PMI_", "SLURM", "MPI_"};
  constexpr std::array<std::string_view, 3> kSizes{"_SIZE", "TASKS", "NPROCS"};
  std::set<std::string> out;
  std::istringstream text(environment);
  for (std::string line; std::getline(text, line, '\0');) {
    const std::string_view name = std::string_view(line).substr(0, line.find('='));
    const bool of_launcher =
        std::any_of(kLaunchers.begin(), kLaunchers.end(),
                    [&](std::string_view begin) { return name.starts_with(begin); });
    const bool of_all = std::any_of(kSizes.begin(), kSizes.end(),
                                    [&](std::string_view end) { return name.ends_with(end); });
    if (!of_launcher || of_all) out.insert(line);
  }
  return out;
}

bool started_alike(const fs::path& a, const fs::path& b) {
  std::error_code code;
  const auto link = [&](const fs::path& path) {
    return code ? fs::path() : fs::read_symlink(path, code);
  };
  const bool alike =
      link(a / "exe") == link(b / "exe") && link(a / "cwd") == link(b / "cwd") &&
      read_file(a / "cmdline") == read_file(b / "cmdline") &&
      common_variables(read_file(a / "environ")) == common_variables(read_file(b / "environ"));
  return alike && !code;
}

}  // namespace

std::string stopped_ranks(std::span<const char* const> rank_variables) {
  std::string out;
  for_each_sibling(rank_variables, [&](const Sibling& one) {
    if (one.state != 'T' && one.state != 't') return;
    out += (out.empty() ? "rank " : "; rank ") + one.rank + " is stopped";
  });
  return out;
}

bool started_as_rank_zero(std::span<const char* const> rank_variables) {
  bool out = false;
  for_each_sibling(rank_variables, [&](const Sibling& one) {
    out = out || (one.rank == "0" && started_alike(one.folder, "/proc/self"));
  });
  return out;
}

}  // namespace rw::train
