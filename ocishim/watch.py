"""The end of a mount, seen from outside of its mount namespace and without holding it (inotify(7))."""

import ctypes
import os
import struct

from .errors import SyscallError

_IN_DELETE_SELF = 0x400
_IN_UNMOUNT = 0x2000
_IN_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")


def begin() -> int:
    """inotify_init1(2): a descriptor, close-on-exec. EMFILE where the user has too many of them."""
    file = _libc().inotify_init1(os.O_CLOEXEC)
    if file < 0:
        raise SyscallError(ctypes.get_errno(), "inotify_init1")
    return int(file)


def add(file: int, path: str) -> None:
    """inotify_add_watch(2) of the file system that is mounted on `path`."""
    if _libc().inotify_add_watch(file, os.fsencode(path), _IN_DELETE_SELF | _IN_UNMOUNT) < 0:
        raise SyscallError(ctypes.get_errno(), "inotify_add_watch", path)


def wait(file: int) -> None:
    """Wait until that file system is gone: it has no mount any more, in any namespace."""
    while True:
        data = os.read(file, 4096)
        at = 0
        while at < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, at)
            if mask & (_IN_UNMOUNT | _IN_IGNORED):
                return
            at += _EVENT.size + length


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
