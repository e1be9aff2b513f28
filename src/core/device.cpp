// Part of Ropewalk, MIT licence.
#include "core/device.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>

#include "core/arena.h"
#include "core/dry_run.h"
#include "core/error.h"

namespace rw::core {
namespace {

Backend cpu_backend() {
  Backend out;
  out.name = "cpu";
  out.device_count = [] { return 1; };
  out.alloc = [](std::size_t bytes, int) { return host_alloc(bytes); };
  out.release = [](void* address, std::size_t bytes, int) { host_release(address, bytes); };
  out.copy = [](void* to, const void* from, std::size_t bytes, void*) {
    host_copy(to, from, bytes);
  };
  out.fill = [](void* to, int byte, std::size_t bytes, void*) { host_fill(to, byte, bytes); };
  // The CPU is one stream: every call is complete when it returns.
  out.stream_create = [](int) -> void* { return nullptr; };
  out.stream_destroy = [](void*) {};
  out.stream_sync = [](void*) {};
  out.event_create = [](int) -> void* { return nullptr; };
  out.event_destroy = [](void*) {};
  out.event_record = [](void*, void*) {};
  out.event_wait = [](void*, void*) {};
  out.event_sync = [](void*) {};
  return out;
}

std::string program_folder() {
  char path[PATH_MAX];
  const auto length = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string text(path, length > 0 ? static_cast<std::size_t>(length) : 0);
  return text.substr(0, text.rfind('/'));
}

}  // namespace

std::string Device::text() const {
  return kind == DeviceKind::kCpu ? "cpu" : "cuda:" + std::to_string(index);
}

Backend& backend_table(DeviceKind kind) {
  // The tables hold function pointers and own nothing.
  static std::array<Backend, kDeviceKinds> tables{cpu_backend(), Backend{}};
  return tables[static_cast<std::size_t>(kind)];
}

const Backend& backend(DeviceKind kind) {
  const Backend& table = backend_table(kind);
  if (table.name == nullptr) {
    throw Error(ErrorKind::kDevice,
                "device cuda: got no loaded backend, want librw_cuda.so beside the program; build "
                "the preset `cuda`");
  }
  return table;
}

void load_backend(DeviceKind kind) {
  if (backend_table(kind).name != nullptr) return;
  const std::string path = program_folder() + "/librw_cuda.so";
  void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    const char* reason = ::dlerror();
    throw Error(ErrorKind::kDevice, "device cuda: cannot load " + path + ": " +
                                        (reason != nullptr ? reason : "?") +
                                        "; build the preset `cuda`, or run on the CPU");
  }
  using Register = void (*)(Backend*);
  const auto fill = reinterpret_cast<Register>(::dlsym(object, "ropewalk_register_backend"));
  if (fill == nullptr)
    throw Error(ErrorKind::kDevice, path + ": no ropewalk_register_backend in it");
  fill(&backend_table(kind));
}

const void* find_twins(Device device, Op op) {
  const bool dry = device.kind == DeviceKind::kCpu && DryRun::current() != nullptr;
  const auto& table = dry ? dry_twins() : backend(device.kind).twins;
  const void* found = table[static_cast<std::size_t>(op)];
  if (found == nullptr) {
    throw Error(ErrorKind::kDevice, "device " + device.text() +
                                        " has no implementation of operation " +
                                        std::to_string(static_cast<int>(op)) + " in this version");
  }
  return found;
}

}  // namespace rw::core
