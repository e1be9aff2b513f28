// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

struct ReportOptions {
  std::string run;  // output_dir of a training
  std::string out;  // the page; empty: report.html in `run`
  bool json = false;
};

/// A run as one page of HTML, from what it has written so far. 66 when there is no such run.
int run_report(const ReportOptions& options);

}  // namespace rw::launcher
