// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <string_view>

namespace rw::data {

/// Unicode's normalisation forms.
enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Valid UTF-8 in that form, as the `tokenizers` package has it: code points that Unicode gave a
/// decomposition or a combining class after version 9 stand still. O(n), n log n in runs of marks.
std::string normalized(std::string_view text, NormalForm form);

}  // namespace rw::data
