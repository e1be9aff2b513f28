// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::core {

/// A path as people type it, where no shell stands between: "~" and "~/x" are the home folder and
/// x in it. `problem` says why it is none: "~user/x", "${NAME}" anywhere and "$NAME" at its
/// beginning are refused, as a folder of that very name is never meant ("./~/x" is one).
struct TypedPath {
  std::string path;
  std::string problem;  // "got …, want …; try …"; empty: good
};

/// `home` is the home folder; "": nobody knows it.
TypedPath typed_path(const std::string& text, const std::string& home);

}  // namespace rw::core
