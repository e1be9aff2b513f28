// Part of Ropewalk, MIT licence.
#pragma once
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/json.h"
#include "planner/solution.h"

namespace rw::test {

/// Cases for tests/planner/check_solution.py, the checker that shares no code with the planner.
class Cases {
 public:
  explicit Cases(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              (name + "." + std::to_string(::getpid()) + ".jsonl")),
        file_(path_) {}
  ~Cases() { std::filesystem::remove(path_); }
  Cases(const Cases&) = delete;
  Cases& operator=(const Cases&) = delete;

  void add(const core::Json& problem, const planner::Solution& solution, planner::Track track) {
    core::Json line;
    line["problem"] = problem;
    line["solution"] = to_json(solution);
    line["track"] = track == planner::Track::kStrict ? "strict" : "free";
    file_ << line.dump() << '\n';
    ++count_;
  }
  /// What the checker printed; it must end in "checked N solutions, 0 rules broken".
  std::string check() {
    file_.close();
    const char* source = std::getenv("ROPEWALK_SOURCE");
    const std::string root = source != nullptr ? source : ".";
    const std::string command =
        "python3 " + root + "/tests/planner/check_solution.py --lines " + path_.string() + " 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer{};
    while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
    ::pclose(pipe);
    return out;
  }
  std::string sound() const {
    return "checked " + std::to_string(count_) + " solutions, 0 rules broken\n";
  }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  int count_ = 0;
};

}  // namespace rw::test
