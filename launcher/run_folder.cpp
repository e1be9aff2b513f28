// Part of Ropewalk, MIT licence.
#include "launcher/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "ckpt/folder.h"
#include "core/build.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;
using core::Error;
using core::ErrorKind;

/// "run", "run/" and "./run//" are one folder, and only the first can be renamed. ".." stays: what it
/// leads to is the file system's to say.
fs::path plain(const std::string& path) {
  fs::path out = path.front() == '/' ? "/" : "";
  for (const fs::path& part : fs::path(path).relative_path()) {
    if (!part.empty() && part != ".") out /= part;
  }
  return out.empty() ? fs::path(".") : out;
}

bool holds_checkpoints(const fs::path& run) {
  const auto store = store::make_posix();
  try {
    return !ckpt::list_with_manifest(*store, (run / "checkpoints").string()).empty();
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("output_dir: {}; choose another with output_dir=PATH", error.what()));
  }
}

void make_folder(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) {
    throw Error(ErrorKind::kStorage,
                fmt::format("output_dir: cannot make {}: {}; choose another with output_dir=PATH",
                            path.string(), core::errno_text(code.value())));
  }
}

void move_aside(const fs::path& run) {
  for (int i = 1;; ++i) {
    const fs::path target = fmt::format("{}.old-{}", run.string(), i);
    if (fs::exists(target)) continue;
    std::error_code code;
    fs::rename(run, target, code);
    if (code) {
      throw Error(ErrorKind::kStorage,
                  fmt::format("--overwrite: cannot move {} to {}: {}", run.string(),
                              target.string(), core::errno_text(code.value())));
    }
    core::log_info(fmt::format("the old run is now {}", target.string()));
    return;
  }
}

/// Moves the old run aside, and puts copies of inputs that went with it back where they were.
void move_aside_but(const std::vector<std::string>& inputs, const fs::path& run) {
  const auto store = store::make_posix();
  std::map<std::string, std::string> texts;  // of all inputs: links may lead into the run
  for (const std::string& input : inputs) {
    if (fs::is_regular_file(input)) texts[input] = store::read_whole(*store, input);
  }
  move_aside(run);
  for (const auto& [path, text] : texts) {
    if (fs::exists(path)) continue;
    const fs::path folder = fs::path(path).parent_path();
    if (!folder.empty()) make_folder(folder);
    store::write_whole(*store, path, text);
    core::log_info(fmt::format("{} is an input and stays", path));
  }
}

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

void LockPolicy::close(int descriptor) noexcept { ::close(descriptor); }

RunLock lock_run(const std::string& output_dir) {
  const fs::path run(output_dir);
  const std::string path = (run / ".lock").string();
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  RunLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
  if (lock.get() < 0) {
    throw Error(ErrorKind::kStorage,
                fmt::format("output_dir: cannot write to {}: {}; choose another with "
                            "output_dir=PATH",
                            run.string(), core::errno_text(errno)));
  }
  // The ranks of a job whose mpirun was killed take a moment to notice and die.
  constexpr int kTries = 100;
  constexpr auto kPause = std::chrono::milliseconds(200);
  for (int i = 0; ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (i == kTries) {
      throw Error(ErrorKind::kStorage,
                  fmt::format("output_dir: another job is writing to {}; wait for it, or choose "
                              "another with output_dir=PATH",
                              run.string()));
    }
    if (i == 5) core::log_info(fmt::format("waiting for the job that holds {}", run.string()));
    std::this_thread::sleep_for(kPause);
  }
  return lock;
}

Resume parse_resume(const std::string& text) {
  Resume out;
  if (text == "never") return out;
  if (text == "auto") {
    out.kind = Resume::Kind::kAuto;
    return out;
  }
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out.step);
  if (code == std::errc() && end == text.data() + text.size() && out.step > 0) {
    out.kind = Resume::Kind::kStep;
    return out;
  }
  if (!fs::is_directory(text)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--resume: got '{}', want never, auto, a step (from 1) or the folder "
                            "of a checkpoint; try --resume auto",
                            text));
  }
  out.kind = Resume::Kind::kPath;
  out.path = text;
  return out;
}

RunClaim claim_run_folder(const RunFolderOptions& options) {
  const fs::path run = plain(options.output_dir);
  if (options.overwrite && fs::exists(run)) {
    const RunLock free_of_others = lock_run(run.string());
    move_aside_but(options.inputs, run);
  }
  if (options.resume.kind == Resume::Kind::kNever && holds_checkpoints(run)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("output_dir: {} holds checkpoints of an earlier run; try --resume auto "
                            "to go on from them, or --overwrite to move that run aside",
                            run.string()));
  }
  if (options.resume.kind != Resume::Kind::kNever && !fs::exists(fs::symlink_status(run))) {
    return RunClaim();  // nothing to keep others from; a refused resume leaves no folder either
  }
  make_folder(run);
  RunClaim out;
  out.lock = lock_run(run.string());
  for (const char* request : {"SAVE", "STOP"}) {
    std::error_code ignored;
    if (fs::exists(run / request, ignored)) out.old_requests.push_back((run / request).string());
  }
  return out;
}

void record_run(const std::string& output_dir, const std::string& resolved_recipe,
                const std::string& environment, RunClaim& claim) {
  const fs::path run = output_dir;
  make_folder(run);
  if (claim.lock.get() < 0) claim.lock = lock_run(output_dir);
  for (const char* folder : {"log", "tb", "trace", "plan", "checkpoints"}) {
    make_folder(run / folder);
  }
  for (const std::string& request : claim.old_requests) {
    std::error_code ignored;
    fs::remove(request, ignored);
  }
  const auto store = store::make_posix();
  store::write_whole(*store, (run / "recipe.resolved.yaml").string(), resolved_recipe);
  store::write_whole(*store, (run / "env.json").string(), environment);
}

std::string environment_json(int ranks, int threads_per_rank, const std::string& communicator) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  core::Json out;
  out["ropewalk"] = core::kVersion;
  out["compiler"] = __VERSION__;
  out["host"] = host.data();
  out["cpu"] = cpu_name();
  out["cores"] = std::thread::hardware_concurrency();
  out["communicator"] = communicator;
  out["ranks"] = ranks;
  out["threads_per_rank"] = threads_per_rank;
  return out.dump(2) + "\n";
}

}  // namespace rw::launcher
