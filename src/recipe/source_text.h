// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "recipe/book.h"

namespace rw::recipe {

/// The lines of a recipe, or of an override, as complaints show them.
class SourceText {
 public:
  /// The YAML begins at byte `first` of the first line: behind the "key=" of an override.
  SourceText(const std::string& text, std::string name, std::size_t first = 0);

  /// Line and byte as yaml-cpp counts them, from 0. Columns of the place are characters, from 1.
  Place place(int line, int byte) const;
  /// A quoted value begins there and its quote is closed in that line.
  bool closes_quote(int line, int byte) const;
  /// Complains about what is no text: bytes that are no UTF-8, control characters, tabs in the
  /// indentation. False: there is some, and a YAML reader would only guess.
  bool is_text(Book& book) const;

 private:
  std::size_t byte_of(int line, int byte) const;
  int column_of(std::size_t row, std::size_t byte) const;

  std::vector<std::string> lines_;
  std::string name_;
  std::size_t first_;
  // Places mostly ask from left to right: a line is counted once, however many keys it has.
  struct Counted {
    std::size_t row = 0, byte = 0;
    int column = 1;
  };
  mutable Counted last_;
};

}  // namespace rw::recipe
