// Part of Ropewalk, MIT licence.
#pragma once
#include "core/device.h"

namespace rw::core {

/// An ordered queue of work on one device. On the CPU every call is complete when it returns and
/// sync() does nothing.
class Stream {
 public:
  explicit Stream(Device device = {})
      : device_(device), native_(backend(device.kind).stream_create(device.index)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { backend_table(device_.kind).stream_destroy(native_); }
  Device device() const { return device_; }
  void* native() const { return native_; }
  /// The host waits until everything queued so far is done.
  void sync() { backend(device_.kind).stream_sync(native_); }

 private:
  Device device_;
  void* native_;
};

/// A point in a stream that another stream, or the host, can wait for.
class Event {
 public:
  explicit Event(Device device = {})
      : device_(device), native_(backend(device.kind).event_create(device.index)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { backend_table(device_.kind).event_destroy(native_); }
  void record(Stream& stream) { backend(device_.kind).event_record(native_, stream.native()); }
  void hold(Stream& stream) {
    backend(device_.kind).event_wait(native_, stream.native());
  }                                                           // the stream waits
  void sync() { backend(device_.kind).event_sync(native_); }  // the host waits

 private:
  Device device_;
  void* native_;
};

}  // namespace rw::core
