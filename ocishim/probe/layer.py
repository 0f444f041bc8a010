"""A layer of an overlay: the directory that a written path leads to, and where it lies."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..overlay import OverlayMount


class Layer:
    """One layer. `role` is lowerdir, datadir, upperdir or workdir; `written` is the path as in the spec.

    `path` is the real one. `device` and `inode` tell the directory. Of upperdir and workdir also: `mount`,
    by which it was reached (-1 unknown), and `read_only`, whether writes to it must fail; of workdir
    `is_marked`, whether an overlay with volatile was made of it. `errno` is 0, or why it could not be opened;
    then the rest is unknown.
    """

    __slots__ = ("device", "errno", "inode", "is_marked", "mount", "path", "read_only", "role", "written")

    def __init__(
        self,
        role: str,
        written: str,
        path: str,
        device: int = 0,
        inode: int = 0,
        mount: int = -1,
        errno: int = 0,
        read_only: bool = False,
        is_marked: bool = False,
    ) -> None:
        self.role = role
        self.written = written
        self.path = path
        self.device = device
        self.inode = inode
        self.mount = mount
        self.errno = errno
        self.read_only = read_only
        self.is_marked = is_marked


def look(mount: "OverlayMount", bundle: str) -> list[Layer]:
    """Look at the layers of an overlay, top → bottom: upper, work, lowers, data-only lowers."""
    named = [("lowerdir", path) for path in mount.lower]
    named += [("datadir", path) for path in mount.data]
    if mount.upper:
        named[:0] = [("upperdir", mount.upper), ("workdir", mount.work)]
    return [_look(role, path, bundle) for role, path in named]


def _look(role: str, written: str, bundle: str) -> Layer:
    path = os.path.join(bundle, written)
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        return Layer(role, written, path, errno=e.errno or 0)
    try:
        found = os.fstat(file)
        writable = role in ("upperdir", "workdir")
        return Layer(
            role,
            written,
            os.readlink(f"/proc/self/fd/{file}"),
            found.st_dev,
            found.st_ino,
            _mount_id(file) if writable else -1,
            read_only=writable and os.fstatvfs(file).f_flag & os.ST_RDONLY != 0,
            is_marked=role == "workdir" and _exists("work/incompat/volatile", file),
        )
    finally:
        os.close(file)


def _exists(path: str, directory: int) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except OSError:
        return False
    return True


def _mount_id(file: int) -> int:
    info = os.open(f"/proc/self/fdinfo/{file}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for line in os.read(info, 4096).split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"mnt_id":
                return int(value)
    finally:
        os.close(info)
    return -1
