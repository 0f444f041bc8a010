"""What containers do to an overlay, done to files that were laid into a lower layer for it.

Each operation succeeds where overlayfs works and fails where it only seems to.
"""

import os
from errno import EEXIST, EIO, EOPNOTSUPP, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = b"lower\n"


def lay(directory: str) -> None:
    """Make the files that the operations need, in a new directory of a lower layer."""
    for name in ("", "directory", "opaque"):
        os.mkdir(f"{directory}/{name}")
    for name in ("directory/file", "opaque/file", "gone", "moved"):
        _write(f"{directory}/{name}", os.O_CREAT | os.O_EXCL, _TEXT)


def work_on(directory: str) -> dict[str, int]:
    """Do all operations in the directory, as the overlay shows it: errno by name of what failed."""
    failed = {}
    for name, operation in _OPERATIONS.items():
        try:
            operation(directory)
        except OSError as e:
            failed[name] = e.errno or EIO
    return failed


def _read(base: str) -> None:
    if read(f"{base}/directory/file") != _TEXT:
        raise OSError(EIO, "other content")


def _append(base: str) -> None:
    append(f"{base}/directory/file", _TEXT)


def _chmod(base: str) -> None:
    os.chmod(f"{base}/directory/file", 0o640)
    if os.stat(f"{base}/directory/file").st_mode & 0o777 != 0o640:
        raise OSError(EPERM, "the mode stays as it was")


def _whiteout(base: str) -> None:
    os.unlink(f"{base}/gone")
    if "gone" in os.listdir(base):
        raise OSError(EEXIST, "the deleted name is still there")


def _opaque(base: str) -> None:
    os.unlink(f"{base}/opaque/file")
    os.rmdir(f"{base}/opaque")
    os.mkdir(f"{base}/opaque")
    if os.listdir(f"{base}/opaque"):
        raise OSError(EEXIST, "the deleted file is back")


def _move(base: str) -> None:
    os.rename(f"{base}/moved", f"{base}/there")
    if "moved" in os.listdir(base):
        raise OSError(EEXIST, "the old name is still there")


def _rename(base: str) -> None:
    os.mkdir(f"{base}/new")
    os.rename(f"{base}/new", f"{base}/renamed")


def _xattr(base: str) -> None:
    os.setxattr(f"{base}/directory/file", "user.ocishim", b"")


#: In this order; the names are those of facts.schema.json.
_OPERATIONS: "dict[str, Callable[[str], object]]" = {
    "read": _read,
    "write": _append,
    "chmod": _chmod,
    "whiteout": _whiteout,
    "opaque": _opaque,
    "move": _move,
    "rename": _rename,
    "xattr": _xattr,
}


def read(path: str) -> bytes:
    """Read the beginning of a file. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        return os.read(file, 1 << 17)
    finally:
        os.close(file)


def append(path: str, before: bytes) -> None:
    """Append to a file and read it again. Raises OSError, EIO where the content is another one then."""
    _write(path, os.O_APPEND, b"more\n")
    if read(path) != before + b"more\n":
        raise OSError(EIO, "other content")


def has_user_xattrs(directory: str) -> bool:
    """Tell whether files there take user xattrs: tmpfs does from 6.6 on."""
    try:
        os.setxattr(directory, "user.ocishim", b"")
    except OSError as e:
        return e.errno != EOPNOTSUPP
    return True


def _write(path: str, flags: int, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    try:
        os.write(file, data)
    finally:
        os.close(file)
