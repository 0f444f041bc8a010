"""What asking must not leave: files in the layers, mounts in the namespace of who asked."""

import os
import pathlib
from collections.abc import Sequence

#: Path to mode and size, of everything below some directories.
Inventory = dict[str, tuple[int, int]]


def inventory(directories: Sequence[str]) -> Inventory:
    """List everything below them, and themselves."""
    found: Inventory = {}
    for directory in directories:
        for place, names, files in os.walk(directory):
            for path in (place, *(os.path.join(place, name) for name in (*names, *files))):
                status = os.lstat(path)
                size = 0 if os.path.isdir(path) else status.st_size  # a directory's size is its history
                found[path] = (status.st_mode, size)
    return found


def mounts() -> list[str]:
    """List what is mounted for this process: mount point and type."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"{line.split()[4]} {line.partition(' - ')[2].split()[0]}" for line in lines]


def processes() -> dict[int, str]:
    """Give the command line of every process that has one, by its id."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if words:  # neither the kernel's own nor one that only waits to be waited for
            found[int(entry.name)] = words.replace("\0", " ").strip()
    return found


def changes(before: Inventory, after: Inventory) -> list[str]:
    """Say what is new, gone or other."""
    return [
        *(f"{path} is gone" for path in sorted(before.keys() - after.keys())),
        *(f"{path} is new" for path in sorted(after.keys() - before.keys())),
        *(f"{path} is other" for path in sorted(before.keys() & after.keys()) if before[path] != after[path]),
    ]
