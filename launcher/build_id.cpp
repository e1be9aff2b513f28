// Part of Ropewalk, MIT licence.
#include "launcher/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace rw::launcher {
namespace {

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

/// The build id among the notes of one segment.
std::string build_id_in(std::span<const std::byte> notes) {
  constexpr std::string_view kOwner("GNU\0", 4);
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes.data(), sizeof header);
    const std::size_t name = padded(header.n_namesz);
    const std::size_t whole = sizeof header + name + padded(header.n_descsz);
    if (whole > notes.size()) return "";
    const auto body = notes.subspan(sizeof header);
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == kOwner.size() &&
        std::memcmp(body.data(), kOwner.data(), kOwner.size()) == 0) {
      std::string out;
      for (const std::byte one : body.subspan(name, header.n_descsz)) {
        out += fmt::format("{:02x}", std::to_integer<unsigned>(one));
      }
      return out;
    }
    notes = notes.subspan(whole);
  }
  return "";
}

/// Called for each object of the process, the program first: there it ends.
int look(dl_phdr_info* info, std::size_t /*size*/, void* out) {
  for (const auto& segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast,performance-no-int-to-ptr)
    const auto* begin = reinterpret_cast<const std::byte*>(info->dlpi_addr + segment.p_vaddr);
    const std::string found = build_id_in({begin, segment.p_memsz});
    if (found.empty()) continue;
    *static_cast<std::string*>(out) = found;
    break;
  }
  return 1;
}

}  // namespace

std::string build_id() {
  std::string out;
  dl_iterate_phdr(look, &out);
  return out;
}

}  // namespace rw::launcher
