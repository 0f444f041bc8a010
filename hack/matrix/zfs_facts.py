"""What a directory offers of what overlays want of a layer, tried out call by call."""

import ctypes
import errno
import os
import pathlib
import stat
import struct
from collections.abc import Callable
from typing import Any

from . import calls, privilege

_LIBC = ctypes.CDLL(None, use_errno=True)
_NOREPLACE, _EXCHANGE, _WHITEOUT = 1, 2, 4
_AT_FDCWD = -100
#: Version 2, then tag, permission and id: user::rwx user:0:r-x group::r-x mask::r-x other::---
_ACL_ENTRIES = ((1, 7, -1), (2, 5, 0), (4, 5, -1), (16, 5, -1), (32, 0, -1))
_ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in _ACL_ENTRIES)
_KINDS = {1: "fifo", 2: "chr", 4: "dir", 6: "blk", 8: "reg", 10: "lnk", 12: "sock", 0: "unknown"}


def outcome(function: Callable[[], Any]) -> Any:
    """Give what a function gives, "ok" for nothing, or the name of its errno."""
    try:
        gave = function()
    except OSError as e:
        return errno.errorcode.get(e.errno or 0, str(e))
    return "ok" if gave is None else gave


def facts(directory: str) -> dict[str, Any]:
    """Try everything in a directory of its own below this one, which stays."""
    place = pathlib.Path(directory) / f"facts-{os.getuid()}-{os.getpid()}"
    place.mkdir()
    os.chmod(place, 0o755)
    tries: dict[str, Callable[[], Any]] = {
        "f_type": lambda: _f_type(place),
        "d_type": lambda: _d_types(place),
        "whiteout": lambda: _made(place / "whiteout", lambda path: os.mknod(path, stat.S_IFCHR, 0)),
        "rename_noreplace": lambda: _rename(place, _NOREPLACE),
        "rename_exchange": lambda: _rename(place, _EXCHANGE),
        "rename_whiteout": lambda: _rename(place, _WHITEOUT),
        "o_tmpfile": lambda: os.close(os.open(place, os.O_TMPFILE | os.O_WRONLY)),
        "xattr_trusted": lambda: _xattr(place, "trusted.overlay.opaque", b"y"),
        "xattr_user": lambda: _xattr(place, "user.overlay.opaque", b"y"),
        "xattr_user_64k": lambda: _xattr(place, "user.large", b"x" * 65536),
        "acl": lambda: _xattr(place, "system.posix_acl_access", _ACL),
        "file_handle": lambda: _handle(place),
        "symlink_owner": lambda: _made(place / "link", lambda path: os.symlink("x", path)),
    }
    return {"mount": _mount(place), **{name: outcome(function) for name, function in tries.items()}}


def _made(path: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    make(path)
    os.lchown(path, os.getuid(), os.getgid())


def _f_type(place: pathlib.Path) -> str:
    buffer = (ctypes.c_long * 32)()
    if _LIBC.statfs(os.fsencode(place), buffer) < 0:
        raise OSError(ctypes.get_errno(), "statfs")
    return hex(buffer[0])


def _d_types(place: pathlib.Path) -> str:
    """Give the types that getdents64(2) has of a directory, a file and a link."""
    inside = place / "types"
    inside.mkdir()
    (inside / "directory").mkdir()
    (inside / "file").touch()
    (inside / "link").symlink_to("x")
    buffer = ctypes.create_string_buffer(4096)
    descriptor = os.open(inside, os.O_RDONLY)
    length = _LIBC.syscall(217, descriptor, buffer, len(buffer))
    os.close(descriptor)
    found, at = set(), 0
    while at < length:
        size, kind = struct.unpack_from("<HB", buffer.raw, at + 16)
        found.add(_KINDS[kind])
        at += size
    return " ".join(sorted(found))


def _rename(place: pathlib.Path, flags: int) -> str | None:
    """Rename a file, to another where they are exchanged; give what is wrong if it does not fail."""
    old, new = place / f"old-{flags}", place / f"new-{flags}"
    old.write_text("old")
    if flags == _EXCHANGE:
        new.write_text("new")
    calls.renameat2(str(old), str(new), flags)
    if new.read_text() != "old":
        return "did nothing"
    if flags == _WHITEOUT and not (stat.S_ISCHR(os.lstat(old).st_mode) and os.lstat(old).st_rdev == 0):
        return "left no whiteout"
    return None


def _xattr(place: pathlib.Path, name: str, value: bytes) -> str | None:
    path = place / f"with-{name}"
    path.mkdir()
    os.setxattr(path, name, value)
    return None if os.getxattr(path, name) == value else "another value"


def _handle(place: pathlib.Path) -> str:
    """Give size and type of a file handle, as name_to_handle_at(2) has them."""
    buffer = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0), 136)
    mount_id = ctypes.c_int()
    result = _LIBC.name_to_handle_at(_AT_FDCWD, os.fsencode(place), buffer, ctypes.byref(mount_id), 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return "{} bytes, type {}".format(*struct.unpack_from("<Ii", buffer.raw))


def _mount(place: pathlib.Path) -> str:
    """Give type, source and options of the file system that a directory lies on."""
    device = os.stat(place).st_dev
    wanted = f" {os.major(device)}:{os.minor(device)} "
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return next((line.partition(" - ")[2] for line in lines if wanted in line), "")


def of_everybody(directory: str) -> dict[str, Any]:
    """Give the facts of a directory by who asks."""
    os.chmod(directory, 0o1777)
    return {
        who: privilege.run(who, lambda: facts(directory), 60) for who in (privilege.ROOT, privilege.USERNS)
    }
