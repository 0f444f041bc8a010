"""The trial of an overlay: its real lower layers under a scratch upper one, worked on, and removed again.

room.py makes the scratch directory inside workdir.
"""

import os

from ..actor import Actor
from ..errors import ShimError
from ..step import Step
from . import operations, sample
from .room import SCRATCH, in_scratch, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..patience import Tell
    from ..shift import IdMap

    Failures = list[tuple[str, int, str]]


def run(
    step: Step,
    attach: "Callable[[Step, bool], None]",
    detach: "Callable[[str], None]",
    target: str,
    lower: str,
    tell: "Tell",
) -> "Failures":
    """Mount the overlay of a step in a scratch version and work on it; give what failed and where.

    `attach` mounts a step on `target`, with volatile if that is true, and raises ShimError; `detach` unmounts
    it. `lower` is a layer made by `lay`, "" to make it beside the scratch upper layer. Needs the locks of
    upperdir and workdir. Raises OSError where no scratch directory can be made, MountError where an index
    belongs to another upper layer.
    """
    where = step.mount.where
    if not step.upper:
        tell(f"{where}: mount")
        attach(step, False)
        try:
            return _read(step, target, tell)
        finally:
            detach(target)
    tell(f"{where}: workdir={step.work}")
    if step.has_index:
        from . import index

        index.check(step)
    return in_scratch(
        step.written[-1], lambda scratch: _in_room(step, attach, detach, target, lower, scratch, tell)
    )


def _in_room(
    step: Step,
    attach: "Callable[[Step, bool], None]",
    detach: "Callable[[str], None]",
    target: str,
    lower: str,
    scratch: str,
    tell: "Tell",
) -> "Failures":
    """Make the trial in a scratch directory."""
    copy = step.scratch(f"{scratch}/upper", f"{scratch}/work", lower or f"{scratch}/lower")
    _make_layers(copy)
    if not lower:
        lower = f"{scratch}/lower"
        lay(lower)
    tell(f"{step.mount.where}: mount")
    # First with volatile: without, the unmount waits for all that the disk has to write.
    _copy_origin(step, copy)
    try:
        attach(copy, True)
    except ShimError:
        for directory in (copy.upper, copy.work):
            remove(directory)
        _make_layers(copy)
        _copy_origin(step, copy)
        attach(copy, False)
    try:
        failed = _read(step, target, tell)
        if not step.mount.read_only:
            [name] = os.listdir(lower)
            with Actor(step.mount.idmap):
                failed += _work(step, target, f"{target}/{name}", scratch, tell)
        return failed
    finally:
        detach(target)


def _make_layers(copy: Step) -> None:
    """Make the scratch upper and work directories; on disk they belong to whom the mapping shows as us."""
    for directory in (copy.upper, copy.work):
        os.mkdir(directory)
        if copy.mount.idmap:
            os.chown(directory, *copy.mount.idmap.stored(os.geteuid(), os.getegid()))


def said_of(step: Step, text: str) -> str:
    """Give a text about a scratch directory with the name of the real one."""
    import re

    for role, path in (("upper", step.upper), ("work", step.work)):
        text = text.replace(f"{step.work}/{SCRATCH}/{role}", path)
        text = re.sub(rf"/proc/self/fd/\d+/{role}\b", path.replace("\\", r"\\"), text)
    return text


def lay(lower: str, idmap: "IdMap | None" = None) -> None:
    """Make a lower layer with files to work on, below a name that no other layer can have.

    It is not idmapped itself: its files belong to one whom the mapping shows.
    """
    with Actor(idmap):
        os.mkdir(lower)
        operations.lay(f"{lower}/{SCRATCH}-{os.urandom(8).hex()}")


def _read(step: Step, target: str, tell: "Tell") -> "Failures":
    failed = []
    for layer in sample.of(step.read):
        tell(f"{step.mount.where}: {layer.role}={layer.path}")
        failed += sample.read(layer, target)
    return failed


def _work(step: Step, target: str, files: str, scratch: str, tell: "Tell") -> "Failures":
    tell(f"{step.mount.where}: upperdir={step.upper}")
    failed = operations.work_on(files)
    if "xattr" in failed and not operations.has_user_xattrs(f"{scratch}/upper"):
        del failed["xattr"]  # nothing that an overlay could give
    found = [(name, errno, "") for name, errno in failed.items()]
    for layer in sample.of(step.read):
        tell(f"{step.mount.where}: {layer.role}={layer.path}")
        found += sample.change(layer, target)
    return found


def _copy_origin(step: Step, copy: Step) -> None:
    """Let the scratch upper layer claim the lower layer of the real one: index=on compares them."""
    if step.has_index:
        for name in ("trusted.overlay.origin", "user.overlay.origin"):
            try:
                os.setxattr(copy.upper, name, os.getxattr(step.upper, name))
            except OSError:
                continue
