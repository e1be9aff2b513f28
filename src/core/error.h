// Part of Ropewalk, MIT licence.
#pragma once
#include <stdexcept>
#include <string>

namespace rw::core {

/// Why a run ends. Each kind has one exit code, listed in README.md and in
/// docs/formats/exit_codes.md.
enum class ErrorKind {
  kBug,            // 1   a state that no input can cause
  kShape,          // 1   tensors that do not fit together
  kUsage,          // 2   command line
  kRecipe,         // 2   recipe
  kDataMalformed,  // 65  a file is there but is not what it claims to be
  kDataMissing,    // 66  a file is not there, or is empty
  kDevice,         // 69  no usable device, or its backend is not loaded
  kNonFinite,      // 70  loss or gradient norm is NaN or infinite
  kRankLost,       // 71  a peer is gone
  kComm,           // 71  a message failed
  kHang,           // 72  a peer is silent; the message names it
  kStorage,        // 74  disk full, no permission, I/O error
  kPreempted,      // 75  asked to leave; the checkpoint is committed
};

/// Ends the run: caught in main, which logs it with the rank and exits with exit_code().
/// The message says where, what was got, what is wanted and what to try.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const;

 private:
  ErrorKind kind_;
};

/// "errno text (errno name number)" for messages about files.
std::string errno_text(int error_number);

}  // namespace rw::core
