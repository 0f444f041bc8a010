"""I/O in containers: each way to get an overlay into one, the work done in each, a fresh upper every time."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

from ocishim import linux

from . import bundles, inside, timing, trees
from .rows import Row
from .runtimes import Runtime
from .scratch import Scratch
from .trees import Sizes

IO = "io"
#: What every other way is compared with.
REFERENCE = "runc-own"


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to get an overlay into a container; `overlay` is own, hand, kernel or fuse."""

    key: str
    label: str
    runtime: str
    overlay: str
    exclusive: bool = False


WAYS = (
    Way(REFERENCE, "runc, its own overlay", "runc", "own"),
    Way("runc-hand", "runc, mounted by hand", "runc", "hand"),
    Way("runc-kernel", "runc, ocishim kernel", "runc", "kernel"),
    Way("runc-fuse", "runc, ocishim fuse", "runc", "fuse"),
    Way("runsc-hand", "runsc, mounted by hand", "runsc", "hand"),
    Way("runsc-kernel", "runsc, ocishim kernel", "runsc", "kernel"),
    Way("runsc-exclusive", "runsc, ocishim exclusive", "runsc", "kernel", exclusive=True),
    Way("runsc-fuse", "runsc, ocishim fuse", "runsc", "fuse"),
)


def titles(sizes: Sizes) -> dict[str, str]:
    """Say what each workload does, in the order in which it is done."""
    return {
        "stat": f"walk: stat {sizes.files:,} small files",
        "read": f"walk: read {sizes.files:,} small files",
        "sequential": f"read {sizes.megabytes} MB from end to end",
        "git": f"git status, {sizes.tracked:,} files",
        "create": f"create {sizes.creates:,} files",
        "remove": f"rm -r of {sizes.removes:,} lower files",
        "copyup": f"append 1 byte to {sizes.megabytes} MB (copy-up)",
    }


def rows(runtimes: dict[str, Runtime]) -> list[Row]:
    """Give the rows, by workload."""
    return [
        Row(IO, f"{way.key}/{workload}", way.label, to=f"{REFERENCE}/{workload}")
        for workload in inside.WORKLOADS
        for way in WAYS
        if way.runtime in runtimes
    ]


class Layers:
    """The containers that do the work: one lower layer for all, made once."""

    def __init__(self, scratch: Scratch, runtimes: dict[str, Runtime], sizes: Sizes) -> None:
        self.scratch = scratch
        self.runtimes = runtimes
        self.sizes = sizes
        self.lower = scratch.path / "io/lower"
        trees.make(self.lower, sizes)
        self.rootfs, self.binds = bundles.rootfs_like_the_host(scratch.path / "io/rootfs")
        self.program = pathlib.Path(inside.__file__).read_text()
        self.count = 0

    def measure(self, way: Way, names: list[str]) -> dict[str, float]:
        """Do the named work in one container; give seconds by name. Raises FailedError."""
        self.count += 1
        directory = self.scratch.path / f"io/{self.count}"
        args = ["/usr/bin/python3", "-I", "-S", "-c", self.program, "/ov", *names]
        content = bundles.spec(self.rootfs, args)
        content["process"]["env"].append(f"CREATES={self.sizes.creates}")
        entry = bundles.overlay("/ov", self.lower, directory)
        merged = self._mount_by_hand(entry, directory) if way.overlay == "hand" else ""
        content["mounts"] += [*self.binds, bundles.bind("/ov", merged) if merged else entry]
        argv, environment = self._command(
            way, bundles.write(directory, content), self.scratch.identifier(f"io-{self.count}")
        )
        try:
            text = timing.run(argv, environment, self.scratch.path).output
        finally:
            if merged:
                linux.umount(merged)
        if way.overlay == "fuse":
            self.scratch.wait_for_servers()
        missing = trees.check(directory / "upper", self.sizes, set(names))
        if missing:
            raise timing.FailedError(argv, f"it ended well, but {missing}", text)
        shutil.rmtree(directory)
        return {name: float(value) for name, value in json.loads(text).items()}

    def _command(self, way: Way, bundle: str, identifier: str) -> tuple[tuple[str, ...], dict[str, str]]:
        runtime = self.runtimes[way.runtime]
        words = runtime.run(self.scratch.state(runtime.name), bundle, identifier)
        if way.overlay in ("own", "hand"):
            return (runtime.path, *runtime.flags, *words), self.scratch.environment()
        settings = self.scratch.path / f"settings-{way.key}.toml"
        args = ", ".join(f'"{flag}"' for flag in runtime.flags)
        exclusive = "true" if way.exclusive else "false"
        settings.write_text(f"[runtimes.{runtime.name}]\nargs = [{args}]\nexclusive = {exclusive}\n")
        shim = (self.scratch.ocishim, "--runtime", runtime.name, "--overlay", way.overlay)
        return (*shim, *words), self.scratch.environment(settings)

    @staticmethod
    def _mount_by_hand(entry: dict[str, Any], directory: pathlib.Path) -> str:
        """Do what users do today: mount the overlay in a private namespace, which hack/bench is in."""
        merged = directory / "merged"
        merged.mkdir()
        linux.mount("overlay", str(merged), "overlay", 0, ",".join(entry["options"]))
        return str(merged)
