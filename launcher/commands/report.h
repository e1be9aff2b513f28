// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct ReportOptions {
  std::vector<std::string> runs;  // output_dirs of trainings, at least one
  std::string
      out;  // the page; empty: report.html in the run, of several side_by_side.html in the first
  bool json = false;
};

/// A run as one page of HTML, from what it has written so far; several runs: their plans side by side,
/// then each of them. 66 when one of them is no run, 65 when a file of one is damaged; then nothing is written.
int run_report(const ReportOptions& options);

}  // namespace rw::launcher
