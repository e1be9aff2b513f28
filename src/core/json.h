// Part of Ropewalk, MIT licence.
#pragma once
#include <nlohmann/json.hpp>

namespace rw::core {
/// Keeps keys in the order of insertion: files we write are the same bytes each time.
using Json = nlohmann::ordered_json;
}  // namespace rw::core
