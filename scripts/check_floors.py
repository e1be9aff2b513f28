#!/usr/bin/env python3
"""Holds every #include of src/, kernels/ and launcher/ against scripts/floors.txt; lists what breaks the table, exit 1.

Also: no file over 500 lines, no "../" in an include, every room's CMakeLists.txt at most 25 lines.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {".h", ".cpp", ".cu", ".cuh"}


def read_table():
    table = {}
    for line in (ROOT / "scripts/floors.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, rooms, foreign = (part.strip() for part in line.split(":"))
            table[room] = (set(rooms.split()), foreign.split())
    return table


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "src" else parts[0]


def check_file(path, table, complaints):
    room = room_of(path)
    allowed, _ = table[room]
    where = path.relative_to(ROOT)
    lines = path.read_text().splitlines()
    if len(lines) > 500:
        complaints.append(f"{where}: {len(lines)} lines, want at most 500; split it by nouns")
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        quoted, target = match.group(1) == '"', match.group(2)
        if "../" in target:
            complaints.append(f"{where}:{number}: {target}: write it from src/ or the root, never ../")
        first = target.split("/")[0]
        if quoted and first in table:
            options = room == "recipe" and target.endswith("/options.h")
            if first != room and first not in allowed and "*" not in allowed and not options:
                complaints.append(f"{where}:{number}: room {room} may not include {target}")
            continue
        owners = [r for r, (_, foreign) in table.items() if any(target.startswith(f) for f in foreign)]
        if owners and room not in owners:
            complaints.append(f"{where}:{number}: {target} belongs to {', '.join(owners)}, not to {room}")
        if target.startswith("cuda") and room not in ("core", "kernels", "comm"):
            complaints.append(f"{where}:{number}: CUDA headers belong to core, kernels and comm")


def main():
    table = read_table()
    complaints = []
    folders = [d for d in (ROOT / "src").iterdir() if d.is_dir()] + [ROOT / "kernels", ROOT / "launcher"]
    for folder in sorted(folders):
        if room_of(folder / "x") not in table:
            complaints.append(f"{folder.relative_to(ROOT)}: no such room in scripts/floors.txt")
            continue
        for path in sorted(folder.rglob("*")):
            if path.suffix in SOURCES:
                check_file(path, table, complaints)
            if path.name == "CMakeLists.txt" and len(path.read_text().splitlines()) > 25:
                complaints.append(f"{path.relative_to(ROOT)}: over 25 lines")
    for path in sorted([*(ROOT / "tests").rglob("*"), *(ROOT / "scripts").rglob("*")]):
        if path.suffix in SOURCES | {".py"} and len(path.read_text().splitlines()) > 500:
            complaints.append(f"{path.relative_to(ROOT)}: over 500 lines; split it")
    print("\n".join(complaints) if complaints else "floors: every include is on its floor")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
