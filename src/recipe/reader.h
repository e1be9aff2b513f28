// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "recipe/book.h"

namespace rw::recipe {

/// Reads a recipe's text into `book`: values, places, and a complaint for everything that is not a
/// known key with a value it takes.
void read_yaml(const std::string& yaml, const std::string& name, Book& book);
/// The same for one "key.sub=value".
void read_override(const std::string& text, Book& book);

}  // namespace rw::recipe
