// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <csignal>
#include <cstddef>

namespace rw::core {

/// Handles some signals while it lives; then the old handlers are back. Interrupted calls go on (SA_RESTART).
template <std::size_t N>
class SignalHandlers {
 public:
  /// `more`: flags of sigaction besides.
  SignalHandlers(const std::array<int, N>& signals, void (*handler)(int), unsigned more = 0)
      : signals_(signals) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(SA_RESTART | more);
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < N; ++i) ::sigaction(signals_[i], &action, &old_[i]);
  }
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;
  ~SignalHandlers() {
    for (std::size_t i = 0; i < N; ++i) ::sigaction(signals_[i], &old_[i], nullptr);
  }

 private:
  std::array<int, N> signals_;
  std::array<struct sigaction, N> old_{};
};

}  // namespace rw::core
