// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

struct CkptOptions {
  std::string verb;   // ls, verify, diff, gc, export, import
  std::string path;   // output_dir, its checkpoints folder, or the folder of one checkpoint
  std::string other;  // diff: the second one
  std::string out;    // export: the Hugging Face folder to write
  bool json = false;
};

/// Checkpoints as files. verify: 65 when a byte is wrong; gc: 74 when a job holds the run.
int run_ckpt(const CkptOptions& options);

}  // namespace rw::launcher
