"""A scratch directory inside workdir, made and removed again by descriptors: nothing in there is followed.

Inside, since there it lies on the upper layer's file system and mount.
"""

import fcntl
import os
from errno import EPERM

from .. import filesystems
from .same import reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .layer import Layer

    T = TypeVar("T")

#: Inside workdir. An ocishim that was killed may leave it; the next removes it.
SCRATCH = ".ocishim-trial"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Descriptors that removing it needs, kept for that: a limit (ulimit -n) must not leave it there.
_TO_REMOVE = 4
#: What root makes there may be another user's.
_GIVES_AWAY = (filesystems.HOSTFS, *filesystems.REMOTE, *filesystems.WITHOUT_XATTRS)


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


def _restore_times(work: int, before: os.stat_result) -> None:
    try:
        os.utime(work, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:  # only the owner may
        pass


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
