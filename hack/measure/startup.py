"""What is started: the shim on a runtime that does nothing, for its own cost, and on the real runtimes."""

import dataclasses
import pathlib
import shutil
import subprocess
from typing import Any

from . import bundles
from .rows import Row
from .runtimes import Runtime
from .scratch import CHECKOUT, Scratch

#: The groups of rows: the shim alone, and `run` with real runtimes.
SHIM = "startup"
RUN = "run"

SHIM_ROWS = tuple(
    # Taken off: an interpreter's start, and what the fake runtime adds when it is exec'ed (not spawned).
    Row(SHIM, key, label, minus=("python", "exec"), plus=("fake",), budget=budget / 1000)
    for key, label, budget in (
        ("state", "pass-through (state)", 1.5),
        ("state-settings", "pass-through, settings file", 1.5),
        ("create", "create without an overlay", 10),
        ("create-kernel", "create, 1 kernel overlay", 15),
        ("create-kernel-64", "create, 64 kernel overlays", 40),
        ("create-fuse", "create, 1 FUSE overlay", 40),
    )
)
SETTINGS = """\
[runtimes.runc]

[runtimes.crun]

[runtimes.runsc]
args = ["--network=none"]
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command to measure; `leaves_server` says that a FUSE server ends only after it."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    leaves_server: bool = False


def shim_commands(scratch: Scratch, _: dict[str, Runtime]) -> dict[str, Command]:
    """Give the commands behind SHIM_ROWS and what they are compared with."""
    programs = scratch.directory("bin")
    # busybox is what it is called: this one is echo, a static program that takes any arguments and says so
    # at once. It is measured until then, since the overlays of a real container outlive `create`.
    fake = shutil.copy2("/bin/busybox", programs / "echo")
    (programs / "env").symlink_to("echo")
    settings = scratch.path / "settings.toml"
    settings.write_text(SETTINGS)
    plain = scratch.environment()
    shim = (scratch.ocishim, "--runtime", str(fake))

    def create(name: str, count: int, mode: str = "kernel") -> Command:
        directory = scratch.directory(f"shim/{name}")
        content = bundles.spec(directory / "rootfs", ["true"])
        for number in range(count):
            lower = scratch.directory(f"shim/{name}/lower{number}")
            content["mounts"].append(bundles.overlay(f"/ov{number}", lower, directory / f"writable{number}"))
        path = bundles.write(directory, content)
        argv = (*shim, "--overlay", mode, "create", "--bundle", path, scratch.identifier(name))
        return Command(argv, plain, leaves_server=mode == "fuse")

    return {
        "python": Command(("/usr/bin/python3", "-I", "-S", "-c", "pass"), plain),
        "fake": Command((str(fake),), plain),
        "exec": Command((str(programs / "env"), str(fake)), plain),  # the fake runtime, exec'ed by itself
        "state": Command((*shim, "state", "x"), plain),
        "state-settings": Command((*shim, "state", "x"), scratch.environment(settings)),
        "create": create("plain", 0),
        "create-kernel": create("kernel", 1),
        "create-kernel-64": create("kernel-64", 64),
        "create-fuse": create("fuse", 1, "fuse"),
    }


def run_rows(runtimes: dict[str, Runtime]) -> list[Row]:
    """Give the rows of `run` with the real runtimes."""
    rows = []
    for runtime in runtimes.values():
        bare = f"{runtime.name}-bare"
        rows.append(Row(RUN, bare, runtime.name, to=bare))
        if runtime.mounts_overlays:
            rows.append(Row(RUN, f"{runtime.name}-own", f"{runtime.name}, its own overlay", to=bare))
        for key, what in (("", ""), ("-kernel", ", kernel overlay"), ("-fuse", ", FUSE overlay")):
            label = f"{runtime.name} through ocishim{what}"
            rows.append(Row(RUN, f"{runtime.name}-ocishim{key}", label, to=bare))
    return rows


def run_commands(scratch: Scratch, runtimes: dict[str, Runtime]) -> dict[str, Command]:
    """Give the commands behind run_rows: a static `true` in a container."""
    rootfs = scratch.path / "busybox"
    subprocess.run([CHECKOUT / "hack/rootfs", rootfs], check=True)
    settings = scratch.path / "settings.toml"
    settings.write_text(SETTINGS)
    plain = scratch.environment(settings)
    lower = scratch.directory("run/lower")
    commands = {}
    for runtime in runtimes.values():
        for key in ("bare", "own", "ocishim", "ocishim-kernel", "ocishim-fuse"):
            name = f"{runtime.name}-{key}"
            content = _true(rootfs)
            if key in ("own", "ocishim-kernel", "ocishim-fuse"):
                content["mounts"].append(bundles.overlay("/ov", lower, scratch.directory(f"run/{name}")))
            path = bundles.write(scratch.path / "run" / name, content)
            mode = ("--overlay", key.partition("-")[2]) if "-" in key else ()
            words = runtime.run(scratch.state(runtime.name), path, scratch.identifier(name))
            if key.startswith("ocishim"):
                argv = (scratch.ocishim, "--runtime", runtime.path, *mode, *words)
            else:
                argv = (runtime.path, *runtime.flags, *words)
            commands[name] = Command(argv, plain, leaves_server=key == "ocishim-fuse")
    return commands


def _true(rootfs: pathlib.Path) -> dict[str, Any]:
    return bundles.spec(rootfs, ["/bin/true"])
