// Part of Ropewalk, MIT licence.
#pragma once
#include <CLI/CLI.hpp>

namespace rw::launcher {

/// Every argument of `app` and its commands that is no free text is read as a typed path
/// (core/typed_path.h): "~/" becomes the home folder, "${NAME}" is refused. Call it once, when all
/// options are there.
void take_typed_paths(CLI::App& app);

}  // namespace rw::launcher
