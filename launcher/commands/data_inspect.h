// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

struct DataInspectOptions {
  std::string path;
  bool json = false;
};

/// What is in a corpus; verifies both digests and every token on the way.
int run_data_inspect(const DataInspectOptions& options);

}  // namespace rw::launcher
