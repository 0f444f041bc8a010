"""The end of a mount, seen from outside of its mount namespace and without holding it (inotify(7))."""

import os
import struct

from . import linux

_IN_DELETE_SELF = 0x400
_IN_UNMOUNT = 0x2000
_IN_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")


def add(file: int, path: str) -> None:
    """Let an inotify descriptor tell of the file system that is mounted on `path`. Raises SyscallError."""
    linux.watch(file, path, _IN_DELETE_SELF | _IN_UNMOUNT)


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
