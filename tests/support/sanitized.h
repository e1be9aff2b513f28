// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::test {

/// Built with sanitizers: everything takes ten times as long, and what they look for (addresses,
/// races, undefined behaviour) shows in few cases as in many.
inline constexpr bool kSanitized = ROPEWALK_SANITIZED;

/// How many cases, steps or sizes a test goes through.
template <class T>
constexpr T sanitized_or(T sanitized, T full) {
  return kSanitized ? sanitized : full;
}

}  // namespace rw::test
