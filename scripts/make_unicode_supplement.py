#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Writes src/data/unicode_supplement.cpp: general categories of the code points that the Hugging Face `tokenizers`
package (0.23.3: Unicode 16) knows and Debian 12's PCRE2 (10.42: Unicode 14) does not. Run with both installed
(pip install tokenizers; libpcre2-8): make_unicode_supplement.py > src/data/unicode_supplement.cpp"""
import ctypes
import ctypes.util

from tokenizers import Regex, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cf".split()
UTF_AND_UCP = 0x00080000 | 0x00020000
HEAD = """// Part of Ropewalk, MIT licence.
// Written by scripts/make_unicode_supplement.py.
#include "data/unicode_supplement.h"

#include <algorithm>
#include <array>

namespace rw::data {
namespace {

constexpr std::array<AddedRange, %d> kRanges{{
%s}};

}  // namespace

std::span<const AddedRange> added_ranges() { return kRanges; }

std::string_view added_category(char32_t c) {
  const auto* const behind =
      std::upper_bound(kRanges.begin(), kRanges.end(), c,
                       [](char32_t value, const AddedRange& range) { return value < range.first; });
  if (behind == kRanges.begin() || (behind - 1)->last < c) return {};
  return (behind - 1)->category;
}

}  // namespace rw::data
"""


def code_points():
    return (c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000)


def known_to_pcre(category):
    pcre = ctypes.CDLL(ctypes.util.find_library("pcre2-8"))
    for name in ("pcre2_compile_8", "pcre2_match_data_create_8"):
        getattr(pcre, name).restype = ctypes.c_void_p
    error, offset, pattern = ctypes.c_int(), ctypes.c_size_t(), rb"\p{%s}" % category.encode()
    code = ctypes.c_void_p(pcre.pcre2_compile_8(pattern, ctypes.c_size_t(len(pattern)), ctypes.c_uint32(UTF_AND_UCP),
                                                ctypes.byref(error), ctypes.byref(offset), None))
    match = ctypes.c_void_p(pcre.pcre2_match_data_create_8(ctypes.c_uint32(1), None))
    known = set()
    for c in code_points():
        text = chr(c).encode()
        if pcre.pcre2_match_8(code, text, ctypes.c_size_t(len(text)), ctypes.c_size_t(0), 0, match, None) > 0:
            known.add(c)
    return known


def known_to_tokenizers(category):
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "isolated")
    return {c for c in code_points() if len(split.pre_tokenize_str("\0" + chr(c) + "\0")) == 3}


def main():
    pcre = {category: known_to_pcre(category) for category in CATEGORIES}
    assigned = set().union(*pcre.values())
    ranges = []
    for category in CATEGORIES:
        for c in sorted(known_to_tokenizers(category) - assigned):
            if ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == category:
                ranges[-1][1] = c
            else:
                ranges.append([c, c, category])
    ranges.sort()
    print(HEAD % (len(ranges), "".join(f'    {{0x{a:x}, 0x{b:x}, "{k}"}},\n' for a, b, k in ranges)), end="")


if __name__ == "__main__":
    main()
