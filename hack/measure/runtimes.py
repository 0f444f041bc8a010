"""The low-level runtimes of this machine, and how each is told to run a bundle."""

import dataclasses
import os
import shutil


@dataclasses.dataclass(frozen=True)
class Runtime:
    """A runtime: its flags here, and whether it mounts what is `type: overlay` (runsc ignores it)."""

    name: str
    path: str
    flags: tuple[str, ...] = ()
    mounts_overlays: bool = True

    def run(self, state: str, bundle: str, identifier: str) -> tuple[str, ...]:
        """Give the words that run a bundle to its end."""
        return ("--root", state, "run", "--bundle", bundle, identifier)


def find() -> dict[str, Runtime]:
    """Find the runtimes that are installed."""
    found = {}
    for name in ("runc", "crun", "runsc"):
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        if path:
            is_runsc = name == "runsc"
            flags = ("--network=none",) if is_runsc else ()
            found[name] = Runtime(name, path, flags, mounts_overlays=not is_runsc)
    return found
