"""What a file system can do that overlayfs needs of an upper layer, tried in a scratch directory on it."""

import ctypes
import os
import stat

from .. import linux
from ..errors import SyscallError
from .facts import errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_libc.opendir.restype = _libc.readdir.restype = ctypes.c_void_p
_libc.readdir.argtypes = _libc.closedir.argtypes = (ctypes.c_void_p,)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_WHITEOUT = 4
#: An empty default ACL: version 2, user, group and other with all rights.
_ACL = b"\x02\0\0\0" + b"".join(bytes((tag, 0, 7, 0, 255, 255, 255, 255)) for tag in (1, 4, 32))
#: Where struct dirent has d_type (glibc, all 64-bit architectures).
_D_TYPE = 18


def of(scratch: str) -> dict[str, str]:
    """Try all of them in a directory that may be changed: errno by name of what failed, "" of what works."""
    found = {}
    for name, attempt in _ATTEMPTS.items():
        try:
            attempt(scratch)
        except OSError as e:
            found[name] = errno_name(e)
        else:
            found[name] = ""
    return found


def _d_type(scratch: str) -> None:
    _touch(f"{scratch}/d_type")
    directory = _libc.opendir(os.fsencode(scratch))
    if not directory:
        raise SyscallError(ctypes.get_errno(), "opendir", scratch)
    try:
        while entry := _libc.readdir(directory):
            if ctypes.string_at(entry + _D_TYPE, 1) == b"\0":
                raise SyscallError(95, "readdir")
    finally:
        _libc.closedir(directory)


def _xattr(prefix: str) -> "Callable[[str], None]":
    return lambda scratch: os.setxattr(scratch, f"{prefix}overlay.ocishim", b"y")


def _acl(scratch: str) -> None:
    os.mkdir(f"{scratch}/acl")
    os.setxattr(f"{scratch}/acl", "system.posix_acl_default", _ACL)


def _whiteout(scratch: str) -> None:
    os.mknod(f"{scratch}/whiteout", stat.S_IFCHR, 0)


def _rename(flag: int, name: str) -> "Callable[[str], None]":
    def attempt(scratch: str) -> None:
        one, other = f"{scratch}/{name}-1", f"{scratch}/{name}-2"
        _touch(one)
        if flag == _RENAME_EXCHANGE:
            _touch(other)
        if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), flag):
            raise SyscallError(ctypes.get_errno(), "renameat2", one)

    return attempt


def _tmpfile(scratch: str) -> None:
    os.close(os.open(scratch, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))


#: In the order of the report; the names are those of facts.schema.json.
_ATTEMPTS: "dict[str, Callable[[str], None]]" = {
    "d_type": _d_type,
    "trusted xattrs": _xattr("trusted."),
    "user xattrs": _xattr("user."),
    "POSIX ACLs": _acl,
    "whiteouts": _whiteout,
    "RENAME_WHITEOUT": _rename(_RENAME_WHITEOUT, "whiteout"),
    "RENAME_EXCHANGE": _rename(_RENAME_EXCHANGE, "exchange"),
    "O_TMPFILE": _tmpfile,
}


def file_handles(path: str) -> str:
    """Ask for a file handle (name_to_handle_at(2)): errno by name, "" where there are some."""
    try:
        linux.name_to_handle(path)
    except SyscallError as e:
        return errno_name(e)
    return ""


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
