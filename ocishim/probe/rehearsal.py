"""The trial of an overlay: its real lower layers under a scratch upper one, worked on, and removed again.

The scratch directories are made inside workdir, so that they lie on the upper layer's file system and mount.
"""

import fcntl
import os
from errno import EPERM

from .. import filesystems
from ..actor import Actor
from ..errors import ShimError
from ..step import Step
from . import operations, sample
from .layer import reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..patience import Tell
    from ..shift import IdMap
    from .layer import Layer

    T = TypeVar("T")

    Failures = list[tuple[str, int, str]]

#: Inside workdir. An ocishim that was killed may leave it; the next removes it.
SCRATCH = ".ocishim-trial"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Descriptors that removing it needs, kept for that: a limit (ulimit -n) must not leave it there.
_TO_REMOVE = 4
#: What root makes there may be another user's.
_GIVES_AWAY = (filesystems.HOSTFS, *filesystems.REMOTE, *filesystems.WITHOUT_XATTRS)


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


def in_scratch(work: "Layer", act: "Callable[[str], T]", is_locked: bool = True) -> "T":
    """Call `act` with a path to a new directory inside workdir, which is removed again.

    The path is a descriptor's: whoever owns workdir may rename the directory, and put a link in its place.
    `is_locked` tells that the caller has locked workdir. Raises OSError where it cannot be made, or where
    somebody else has the lock.
    """
    parent = reopen(work, _DIRECTORY)
    before = os.fstat(parent)
    reserve: list[int] = []
    try:
        if not is_locked:
            fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
        while len(reserve) < _TO_REMOVE:
            reserve.append(os.dup(parent))
        room = _make(parent, work.magic in _GIVES_AWAY)
        try:
            return act(f"/proc/self/fd/{room}")
        finally:
            while reserve:
                os.close(reserve.pop())
            _empty(room)
            os.close(room)
            _drop(SCRATCH, parent)
    finally:
        _restore_times(parent, before)
        for file in (*reserve, parent):
            os.close(file)


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


def _restore_times(work: int, before: os.stat_result) -> None:
    try:
        os.utime(work, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:  # only the owner may
        pass


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


def _make(parent: int, gives_away: bool) -> int:
    """Make the scratch directory in workdir; give a descriptor of it.

    The owner of workdir may put something else in its place at any time: what is not ours is not taken.
    `gives_away` tells that this file system may give what is made to another user.
    """
    try:
        os.mkdir(SCRATCH, 0o700, dir_fd=parent)
    except FileExistsError:  # of one that was killed: the locks keep others out
        remove(SCRATCH, parent)
        os.mkdir(SCRATCH, 0o700, dir_fd=parent)
    try:
        room = os.open(SCRATCH, _DIRECTORY, dir_fd=parent)
    except (
        OSError
    ):  # no descriptor is left; or it was given to a user whose directories are closed to this one
        _drop(SCRATCH, parent)
        raise
    if not gives_away and os.fstat(room).st_uid != os.geteuid():
        os.close(room)
        raise PermissionError(EPERM, "somebody else's", SCRATCH)
    return room


def remove(name: str, parent: int | None = None) -> None:
    """Remove a directory and all in it, as far as that is possible.

    A link is removed and never followed; what is mounted there, or somewhere in it, stays.
    """
    above = os.open(os.path.dirname(name) or ".", os.O_PATH | os.O_CLOEXEC, dir_fd=parent)
    name = os.path.basename(name)
    try:
        room = _open(name, above)
        if room >= 0:
            _empty(room)
            os.close(room)
        _drop(name, above)
    finally:
        os.close(above)


def _empty(room: int) -> None:
    """Remove all in a directory. Subdirectories are moved up to be emptied: no tree is too deep."""
    number, is_moved = 0, True
    while is_moved:
        is_moved = False
        names = set(_names(room))
        for name in names:
            inner = _open(name, room)
            if inner >= 0:
                for each in _names(inner):
                    if not _drop(each, inner):
                        while str(number) in names:
                            number += 1
                        is_moved |= _move(each, inner, str(number), room)
                        number += 1
                os.close(inner)
            _drop(name, room)


def _names(room: int) -> list[str]:
    try:
        os.lseek(room, 0, os.SEEK_SET)  # btrfs lists what has come since then only after a rewind
        return os.listdir(room)
    except OSError:
        return []


def _move(name: str, inner: int, new: str, room: int) -> bool:
    try:
        os.rename(name, new, src_dir_fd=inner, dst_dir_fd=room)
    except OSError:
        return False
    return True


def _open(name: str, parent: int) -> int:
    """Open a directory on the mount of its parent; -1 where it is none."""
    try:
        file = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            if _mount_of(file) == _mount_of(parent):
                os.listdir(file)
                return file
        except OSError:
            pass
        os.close(file)
    except OSError:
        pass
    return -1


def _mount_of(file: int) -> bytes:
    info = os.open(f"/proc/self/fdinfo/{file}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return next((line for line in os.read(info, 4096).split(b"\n") if line.startswith(b"mnt_id:")), b"")
    finally:
        os.close(info)


def _drop(name: str, parent: int) -> bool:
    """Remove what is no directory, or one that is empty; tell whether it is gone.

    An empty one may be somebody else's, where a file system gives what is made to another user (a hostfs; NFS
    for root).
    """
    for act in (os.unlink, os.rmdir):
        try:
            act(name, dir_fd=parent)
            return True
        except IsADirectoryError:
            continue
        except OSError:
            break
    return False
