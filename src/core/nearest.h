// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::core {

/// The known name nearest to a wrong one; "" when none is near.
std::string nearest(const std::string& wrong, const std::vector<std::string>& names);

}  // namespace rw::core
