// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace rw::core {

/// Bytes of the UTF-8 character at `at` (a byte of `text`), by RFC 3629; 0: there is none.
std::size_t utf8_bytes(std::string_view text, std::size_t at);

/// `text` for a terminal or a page: what these would obey instead of show is escaped. C0 controls
/// but newline and tab, DEL, and bytes that are no UTF-8 become \xNN; C1 controls and the controls
/// of writing direction (U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) become \uNNNN,
/// all as in YAML's double quotes. Text without any comes back as it was. Cost: linear.
std::string printable(std::string_view text);
/// The same on one line: newlines and tabs become \n and \t.
std::string printable_line(std::string_view text);
/// The beginning of a longer text, with "…" behind it; characters stay whole.
std::string shortened(std::string_view text, std::size_t most_bytes = 200);

}  // namespace rw::core
