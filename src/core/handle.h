// Part of Ropewalk, MIT licence.
#pragma once
#include <utility>

namespace rw::core {

/// Sole owner of one C handle: closes it exactly once, never throws doing so.
/// Policy: Native, the C type; none(), "holds nothing"; close(Native) noexcept, logs a failure.
template <class Policy>
class Handle {
 public:
  using Native = typename Policy::Native;
  explicit Handle(Native native = Policy::none()) : native_(native) {}
  Handle(Handle&& other) noexcept : native_(std::exchange(other.native_, Policy::none())) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(native_, other.native_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (native_ != Policy::none()) Policy::close(native_);
  }
  Native get() const { return native_; }

 private:
  Native native_;
};

}  // namespace rw::core
