// Part of Ropewalk, MIT licence.
#include "store/mapped_files.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>

#include "core/printable.h"

namespace rw::store {
namespace {

/// What the handler reads: a slot counts once its text is there.
struct Slot {
  std::uintptr_t begin = 0, end = 0;
  std::string text;
  std::atomic<bool> taken{false}, ready{false};
};

constexpr std::size_t kSlots = 1024;  // files beyond it die without a message

struct Table {
  std::array<Slot, kSlots> slots;
  std::mutex mutex;  // of what follows
  struct sigaction before {};
};

// Lives as long as the process: a handler may come until its end.
Table& table() {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-avoid-non-const-global-variables)
  static Table* const kTable = new Table;
  return *kTable;
}

void write_text(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

extern "C" void ropewalk_on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  constexpr int kExitDataMalformed = 65;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Slot& slot : table().slots) {
    if (!slot.ready.load() || address < slot.begin || address >= slot.end) continue;
    write_text(slot.text);
    ::_exit(kExitDataMalformed);
  }
  ::sigaction(signal, &table().before, nullptr);  // the read comes again, and its signal with it
}

/// Others (MPI's start) may have put theirs in its place.
void handle_bus_errors() {
  const std::lock_guard lock(table().mutex);
  struct sigaction action {};
  ::sigaction(SIGBUS, nullptr, &action);
  if ((action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == ropewalk_on_bus_error) return;
  table().before = action;
  action.sa_sigaction = ropewalk_on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

std::size_t free_slot() {
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (!table().slots.at(i).taken.exchange(true)) return i;
  }
  return kSlots;
}

}  // namespace

MappedFile::MappedFile(const std::string& path, const void* address, std::size_t bytes)
    : slot_(free_slot()) {
  handle_bus_errors();
  if (slot_ == kSlots) return;
  Slot& slot = table().slots.at(slot_);
  slot.begin = reinterpret_cast<std::uintptr_t>(address);
  slot.end = slot.begin + bytes;
  slot.text = "ropewalk: " + core::printable(path) + ": became shorter than the " +
              std::to_string(bytes) +
              " bytes that it had when it was opened, or its disk failed; want the file whole as "
              "long as a job reads it; restore it, then go on from the last checkpoint\n";
  slot.ready.store(true);
}

MappedFile::~MappedFile() {
  if (slot_ == kSlots) return;
  Slot& slot = table().slots.at(slot_);
  slot.ready.store(false);
  slot.taken.store(false);
}

}  // namespace rw::store
