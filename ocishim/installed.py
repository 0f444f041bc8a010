"""What the programs of a host are: the release of fuse-overlayfs with its faults, the runtimes. Pure."""

import shlex

from .probe.facts import Fuse, Runtime
from .report import OK, UNSURE, Line, no, unsure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What is wrong with fuse-overlayfs before a release, of what OVL-FUS-05 lists.
_FAULTS = {
    (0, 7): "it needs an upper layer",
    (1, 8): "it knows no userxattr",
    (1, 11): "lower layers without ACLs fail",
    (1, 15): "no colon in upperdir",
    (1, 16): "wrong directory listings",
}


def fuse_overlayfs(fuse: Fuse) -> Line:
    """Judge the release of fuse-overlayfs."""
    program = fuse.program
    number = fuse.version.rpartition(" ")[2]
    parts = tuple(int(part) for part in number.split(".") if part.isdecimal())
    if not parts:
        return _mute(program)
    faults = [
        f"{fault} (before {major}.{minor})"
        for (major, minor), fault in _FAULTS.items()
        if parts < (major, minor)
    ]
    if faults:
        return unsure(f"{program} {number}", f"known faults: {', '.join(faults)}", "OVL-FUS-05")
    return Line(OK, f"{program} {number}")


def _mute(program: str) -> Line:
    """Say that a program did not answer; how to ask it is a command to copy."""
    why = "it did not tell its version in time"
    return Line(UNSURE, program, why, f"{shlex.quote(program)} --version", is_command=True)


def runtimes(found: "Sequence[Runtime]") -> "Iterator[Line]":
    """Judge the low-level runtimes."""
    for runtime in found:
        if runtime.problem:
            yield no(runtime.name, runtime.problem, "OVL-RUN-09")
        elif not runtime.version:
            yield _mute(runtime.path)
        else:
            number = runtime.version.partition(" version ")[2] or runtime.version
            kind = "" if runtime.kind == runtime.name else f" (a {runtime.kind})"
            oci = f", OCI {' to '.join(runtime.oci)}" if runtime.oci else ""
            options = f", {len(runtime.mount_options)} mount options" if runtime.mount_options else ""
            yield Line(OK, f"{runtime.name}: {runtime.path}{kind}, {number}{oci}{options}")
