"""An overlay mounted by hand: kernel or fuse-overlayfs, with exactly the options that are given."""

import dataclasses
import os
import pathlib
import subprocess
import time
from typing import Any

from . import calls

KERNEL, FUSE = "kernel", "fuse"
#: mount(2) cuts longer data silently.
_DATA_LIMIT = 4095
_PATIENCE = 5.0


@dataclasses.dataclass(frozen=True)
class Way:
    """Who mounts, and the options besides the layers."""

    backend: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.backend, ",".join(self.options))).strip()


@dataclasses.dataclass(frozen=True)
class Layers:
    """What an overlay is made of: lower layers top → bottom; upper and work are "" if it is read-only.

    `data` are data-only layers, below the others.
    """

    lower: tuple[str, ...]
    upper: str = ""
    work: str = ""
    data: tuple[str, ...] = ()

    def directories(self) -> list[str]:
        """Give all of them."""
        return [path for path in (*self.lower, *self.data, self.upper, self.work) if path]

    def words(self) -> list[str]:
        """Give them as mount options, with overlay's escapes."""
        written = [f"upperdir={_escape(self.upper)}", f"workdir={_escape(self.work)}"] if self.upper else []
        data = "".join(f"::{_escape(path)}" for path in self.data)
        return [f"lowerdir={':'.join(map(_escape, self.lower))}{data}", *written]

    def by_links(self, directory: str) -> "Layers":
        """Give the same layers by links in a directory: names that nobody has to escape or to shorten."""
        os.makedirs(directory, exist_ok=True)

        def link(name: str, path: str) -> str:
            if not os.path.islink(f"{directory}/{name}"):
                os.symlink(path, f"{directory}/{name}")
            return f"{directory}/{name}"

        lower = tuple(link(f"{at:x}", path) for at, path in enumerate(self.lower))
        data = tuple(link(f"d{at:x}", path) for at, path in enumerate(self.data))
        if not self.upper:
            return Layers(lower, data=data)
        return Layers(lower, link("u", self.upper), link("w", self.work), data)


class Mounted:
    """An overlay that is mounted on `target`, and the server that FUSE needs."""

    def __init__(self, way: Way, layers: Layers, target: str) -> None:
        self.target = target
        self._server: subprocess.Popen[Any] | None = None
        if any(_escape(path) != path for path in layers.directories()):
            layers = layers.by_links(f"{target}.links")
        if way.backend == FUSE:
            self._server = _serve(way, layers, target)
        else:
            _mount(way, layers, target)

    def umount(self) -> None:
        """Unmount it, and wait until its server has ended. Raises OSError, TimeoutError."""
        calls.umount(self.target)
        if self._server:
            self._server.wait(_PATIENCE)

    def super_options(self) -> list[str]:
        """Give the options that the kernel says it has."""
        found: list[str] = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            left, _, right = line.partition(" - ")
            if left.split()[4] == self.target:
                found = right.split()[2].split(",")
        return found


def _mount(way: Way, layers: Layers, target: str) -> None:
    if not layers.upper and len(layers.lower) == 1:
        # No kernel takes a single read-only layer; an empty one below changes nothing.
        empty = f"{target}.empty"
        os.makedirs(empty, exist_ok=True)
        layers = dataclasses.replace(layers, lower=(*layers.lower, empty))
    data = ",".join([*layers.words(), *way.options])
    if len(data) <= _DATA_LIMIT:
        calls.mount("overlay", target, "overlay", 0, data)
        return
    try:
        _mount_each(way, layers, target)
    except OSError:
        _mount_by_short_names(way, layers, target)


def _mount_each(way: Way, layers: Layers, target: str) -> None:
    parameters = [("lowerdir+", path) for path in layers.lower]
    parameters += [("datadir+", path) for path in layers.data]
    if layers.upper:
        parameters += [("upperdir", layers.upper), ("workdir", layers.work)]
    parameters += [(key, value) for key, is_value, value in map(_split, way.options) if is_value]
    calls.mount_by_parameters(target, parameters, [each for each in way.options if "=" not in each])


def _split(option: str) -> tuple[str, str, str]:
    return option.partition("=")


def _mount_by_short_names(way: Way, layers: Layers, target: str) -> None:
    """Name the layers by links beside the current directory: the kernel follows them when it mounts."""
    names = f"{target}.links"
    linked = layers.by_links(names)
    lower, data = (tuple(map(os.path.basename, paths)) for paths in (linked.lower, linked.data))
    short = dataclasses.replace(linked, lower=lower, data=data)
    before = os.getcwd()
    os.chdir(names)
    try:
        calls.mount("overlay", target, "overlay", 0, ",".join([*short.words(), *way.options]))
    finally:
        os.chdir(before)


def _escape(path: str) -> str:
    for character in "\\:,":
        path = path.replace(character, f"\\{character}")
    return path


def _serve(way: Way, layers: Layers, target: str) -> "subprocess.Popen[Any]":
    if layers.data:
        raise OSError(0, "fuse-overlayfs has no data-only layers")
    options = ",".join([*layers.words(), *way.options])
    before = os.stat(target).st_dev
    server = subprocess.Popen(
        ["fuse-overlayfs", "-f", "-o", options, target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=calls.die_with_parent,
    )
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and server.poll() is None:
        if os.stat(target).st_dev != before:
            return server
        time.sleep(0.002)
    server.kill()
    said = server.communicate()[1].decode(errors="replace").strip()
    raise OSError(0, f"fuse-overlayfs does not start: {said}")
