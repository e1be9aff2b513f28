// Part of Ropewalk, MIT licence.
#include "launcher/results.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "core/log.h"

namespace rw::launcher {

using core::Error;
using core::ErrorKind;

Results::Results()
    : before_(std::cout.rdbuf(this)),
      exceptions_before_(std::cout.exceptions()),
      by_lines_(::isatty(STDOUT_FILENO) == 1) {
  setp(held_.data(), held_.data() + held_.size());
  std::cout.exceptions(std::ios::badbit);
}

Results::~Results() {
  std::cout.exceptions(std::ios::goodbit);
  std::cout.rdbuf(before_);
  std::cout.exceptions(exceptions_before_);
}

int Results::finish(int code) {
  try {
    write_out();
    return code;
  } catch (const Error& error) {
    core::log_error(std::string("ropewalk: ") + error.what());
    return error.exit_code();
  }
}

Results::int_type Results::overflow(int_type byte) {
  write_out();
  if (!traits_type::eq_int_type(byte, traits_type::eof())) {
    *pptr() = traits_type::to_char_type(byte);
    pbump(1);
  }
  return traits_type::not_eof(byte);
}

std::streamsize Results::xsputn(const char* text, std::streamsize size) {
  for (std::streamsize done = 0; done < size;) {
    if (pptr() == epptr()) write_out();
    const auto n = std::min<std::streamsize>(size - done, epptr() - pptr());
    std::memcpy(pptr(), text + done, static_cast<std::size_t>(n));
    pbump(static_cast<int>(n));
    done += n;
  }
  if (by_lines_ && std::find(text, text + size, '\n') != text + size) write_out();
  return size;
}

int Results::sync() {
  write_out();
  return 0;
}

void Results::write_out() {
  const char* next = pbase();
  const char* const end = pptr();
  setp(held_.data(), held_.data() + held_.size());  // what cannot be written is not tried again
  while (next < end) {
    const auto n = ::write(STDOUT_FILENO, next, static_cast<std::size_t>(end - next));
    if (n >= 0) {
      next += n;
    } else if (errno == EAGAIN) {  // someone else made the pipe one that does not wait
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      throw Error(ErrorKind::kStorage,
                  fmt::format("stdout: cannot write the results: {}; want a file with room, or a "
                              "reader that stays",
                              core::errno_text(errno)));
    }
  }
}

void print_log(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace rw::launcher
