// Part of Ropewalk, MIT licence.
// A switch between TAP devices with a delay for every ordered pair of them: what `tc` cannot give where
// the kernel has no netem.
//   tap_switch CONFIG.json     {"devices": ["tap0", …], "delay_s": [[from][to]]}
// Makes the devices, says "ready" and passes frames on until SIGTERM or SIGINT. A device may be moved
// into a network namespace meanwhile. Rates are the business of `tc tbf` on the devices.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "benchmarks/network/frame_switch.h"
#include "core/handle.h"
#include "core/json.h"

namespace rw::bench {
namespace {

struct FilePolicy {
  using Native = int;
  static Native none() { return -1; }
  static void close(Native native) noexcept { ::close(native); }
};
using File = core::Handle<FilePolicy>;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("tap_switch: " + what + ": " + std::strerror(errno));
}

File open_tap(const std::string& name) {
  constexpr const char* kTun = "/dev/net/tun";
  File file(::open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) fail(std::string(kTun) + " cannot be opened (needs root and the tun driver)");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (::ioctl(file.get(), TUNSETIFF, &request) != 0) fail("device " + name + " (needs root)");
  return file;
}

class TapSwitch {
 public:
  TapSwitch(const std::vector<std::string>& devices, FrameSwitch frames)
      : frames_(std::move(frames)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (const std::string& name : devices) taps_.push_back(open_tap(name));
    sigset_t stopping;
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGTERM);
    sigaddset(&stopping, SIGINT);
    sigprocmask(SIG_BLOCK, &stopping, nullptr);
    stop_ = File(::signalfd(-1, &stopping, SFD_CLOEXEC));
    timer_ = File(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    for (const File& tap : taps_) watch(tap);
    watch(stop_);
    watch(timer_);
  }

  /// Until a signal.
  void run() {
    while (true) {
      std::array<epoll_event, 16> events{};
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        if (events.at(static_cast<std::size_t>(i)).data.fd == stop_.get()) return;
      }
      for (std::size_t port = 0; port < taps_.size(); ++port) take(port);
      pass_on();
    }
  }
  std::int64_t dropped() const { return frames_.dropped(); }

 private:
  void watch(const File& file) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = file.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, file.get(), &event) != 0) fail("epoll_ctl");
  }
  static std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  /// All frames that wait at a port. A device that is down or gone has none.
  void take(std::size_t port) {
    std::array<std::uint8_t, 65536> bytes{};
    while (true) {
      const auto length = ::read(taps_[port].get(), bytes.data(), bytes.size());
      if (length <= 0) return;
      frames_.arrived(port, {bytes.data(), bytes.data() + length}, now_ns());
    }
  }

  void pass_on() {
    while (const auto frame = frames_.next(now_ns())) {
      // A device that is down takes nothing: lost, as on a cable that is pulled.
      [[maybe_unused]] const auto written =
          ::write(taps_[frame->port].get(), frame->bytes.data(), frame->bytes.size());
    }
    std::uint64_t expired = 0;
    [[maybe_unused]] const auto seen = ::read(timer_.get(), &expired, sizeof(expired));
    itimerspec when{};  // zero: no frame is under way, no timer
    if (const auto due = frames_.due_ns()) {
      when.it_value.tv_sec = *due / 1'000'000'000;
      when.it_value.tv_nsec = *due % 1'000'000'000;
    }
    if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) fail("timerfd");
  }

  FrameSwitch frames_;
  File epoll_, timer_, stop_;
  std::vector<File> taps_;
};

int run(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(path);
  const auto config = core::Json::parse(file);
  const auto devices = config.at("devices").get<std::vector<std::string>>();
  TapSwitch taps(devices,
                 FrameSwitch(config.at("delay_s").get<std::vector<std::vector<double>>>()));
  std::cout << "ready" << std::endl;
  taps.run();
  std::cerr << "tap_switch: dropped " << taps.dropped() << " frames\n";
  return 0;
}

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tap_switch CONFIG.json\n";
    return 2;
  }
  try {
    return rw::bench::run(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
