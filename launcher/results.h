// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <iostream>
#include <streambuf>
#include <string>

namespace rw::launcher {

/// Results of a command: what it writes to std::cout while this lives. One object, in main. A write
/// that fails (stdout is full, closed, or its reader has left) throws Error{kStorage} out of the
/// `<<` that met it, so that no command goes on for nobody, and what is still held back is dropped.
class Results : private std::streambuf {
 public:
  Results();
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;
  ~Results() override;
  /// Writes what is held back. The exit code: `code`, or 74 after a message when that fails.
  int finish(int code);

 private:
  int_type overflow(int_type byte) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;
  void write_out();

  std::array<char, 1 << 16> held_{};
  std::streambuf* before_;
  std::ios::iostate exceptions_before_;
  bool by_lines_;  // a terminal: people wait for each line
};

/// Text to stdout that may be lost without ending the command: the log of a training.
void print_log(const std::string& text);

}  // namespace rw::launcher
