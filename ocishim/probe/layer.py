"""A layer of an overlay: the directory that a written path leads to, and where it lies."""

import fcntl
import os
from errno import EOPNOTSUPP

from .. import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..overlay import OverlayMount


class Layer:
    """One layer. `role` is lowerdir, datadir, upperdir or workdir; `written` is the path as in the spec.

    `path` is the real one. `device` and `inode` tell the directory, `mount` the mount by which it was
    reached (-1 unknown), `magic` the kind of file system (statfs(2)). `identity` describes mount and file
    system as long as the machine runs: equal bytes, the same of both, with the same options; "" where the
    kernel cannot tell (before 6.8). `read_only` tells whether writes must fail, `has_acl` whether there are
    POSIX ACLs, `is_marked`, of workdir, whether an overlay with volatile was made of it. `errno` is 0, or why
    it could not be opened; then the rest is unknown. `is_stuck`, of workdir, tells that the kernel could not
    empty it, `is_fixed`, of both, that chattr keeps it as it is. `may_write` tells, of upperdir, whether this
    process may, and `unmapped` names something in a lower layer whose owner has no id in this user namespace.
    `uid` and `gid` own it; `idmap_errno` is why it cannot be idmapped, 0 where it can or nobody wants that.
    """

    __slots__ = (
        "device", "errno", "gid", "has_acl", "identity", "idmap_errno", "inode", "is_fixed", "is_marked",
        "is_stuck", "magic", "may_write", "mount", "path", "read_only", "role", "uid", "unmapped", "written",
    )  # fmt: skip

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
        magic: int = 0,
        identity: str = "",
        has_acl: bool = True,
        is_stuck: bool = False,
        is_fixed: bool = False,
        may_write: bool = True,
        unmapped: str = "",
        uid: int = 0,
        gid: int = 0,
        idmap_errno: int = 0,
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
        self.magic = magic
        self.identity = identity
        self.has_acl = has_acl
        self.is_stuck = is_stuck
        self.is_fixed = is_fixed
        self.may_write = may_write
        self.unmapped = unmapped
        self.uid = uid
        self.gid = gid
        self.idmap_errno = idmap_errno

    def fields(self) -> tuple[str | int | bool, ...]:
        """Give what makes it, for the way through a pipe."""
        return (
            self.role, self.written, self.path, self.device, self.inode, self.mount, self.errno,
            self.read_only, self.is_marked, self.magic, self.identity, self.has_acl, self.is_stuck,
            self.is_fixed, self.may_write, self.unmapped, self.uid, self.gid, self.idmap_errno,
        )  # fmt: skip


def named(mount: "OverlayMount") -> list[tuple[str, str]]:
    """Give role and path of each layer that an overlay names: upper, work, lowers top → bottom, data-only."""
    layers = [("lowerdir", path) for path in mount.lower]
    layers += [("datadir", path) for path in mount.data]
    if mount.upper:
        layers[:0] = [("upperdir", mount.upper), ("workdir", mount.work)]
    return layers


def look(role: str, written: str, bundle: str, is_initial: bool = True) -> Layer:
    """Look at one layer; relative paths begin at the bundle. `is_initial`: in the initial user namespace."""
    path = os.path.join(bundle, written)
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        return Layer(role, written, path, errno=e.errno or 0, magic=_magic_of_closed(path))
    try:
        return _look(role, written, file, is_initial)
    except OSError as e:
        if e.filename:  # not of the layer: /proc is missing
            raise
        return Layer(role, written, path, errno=e.errno or 0)
    finally:
        os.close(file)


def _look(role: str, written: str, file: int, is_initial: bool) -> Layer:
    found = os.fstat(file)
    path = os.readlink(f"/proc/self/fd/{file}")
    writable = role in ("upperdir", "workdir")
    mount, identity, magic, read_only = _mount(file)
    return Layer(
        role,
        written,
        path,
        found.st_dev,
        found.st_ino,
        mount,
        0,
        writable and read_only,
        role == "workdir" and _exists("work/incompat/volatile", file),
        magic,
        identity,
        _has_acl(file),
        role == "workdir" and _is_stuck(f"/proc/self/fd/{file}/work"),
        writable and _is_fixed(file),
        role != "upperdir" or os.access(f"/proc/self/fd/{file}", os.W_OK | os.X_OK),
        "" if is_initial or writable else _unmapped(path),
        found.st_uid,
        found.st_gid,
    )


def _unmapped(path: str) -> str:
    from . import owners

    return owners.unmapped(path)


#: So many entries of workdir/work are looked at.
_ENTRIES = 1000


def _magic_of_closed(path: str) -> int:
    """Give the kind of file system of a directory that may not be opened, 0 if not even that is known."""
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return linux.fs_type(file)
    except OSError:
        return 0
    finally:
        os.close(file)


def _exists(path: str, directory: int) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except OSError:
        return False
    return True


def _is_stuck(work: str) -> bool:
    """Tell whether a tree lies in workdir/work that the kernel does not remove: three levels are too deep.

    Then the overlay comes up read-only (fs/overlayfs/readdir.c, ovl_workdir_cleanup).
    """
    try:
        return any(os.listdir(second) for first in _directories(work) for second in _directories(first))
    except OSError:
        return False


def _directories(path: str) -> list[str]:
    """Give the directories among the first entries: the kernel leaves few there."""
    found = []
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number == _ENTRIES:
                break
            if entry.is_dir(follow_symlinks=False):
                found.append(entry.path)
    return found


def _is_fixed(file: int) -> bool:
    """Tell whether a directory is immutable or append-only (FS_IOC_GETFLAGS; chattr +i, +a)."""
    try:
        flags = int.from_bytes(fcntl.ioctl(file, 0x80086601, bytes(8)), "little")
    except OSError:
        return False
    return flags & 0x30 != 0


def _has_acl(file: int) -> bool:
    try:
        os.getxattr(file, "system.posix_acl_access")
    except OSError as e:
        return e.errno != EOPNOTSUPP
    return True


def _mount(file: int) -> tuple[int, str, int, bool]:
    """Give a directory's mount: its id, its identity, the kind of file system, whether it is read-only."""
    try:
        mount = linux.mount_id(file)
        if mount not in _mounts:
            # Most of it is zeros, and it is written down: a run of them becomes a character that hex has not.
            identity = linux.statmount(mount).hex().replace("0" * 16, "-")
            _mounts[mount] = (mount, identity, *_file_system(file))
        return _mounts[mount]
    except OSError:  # before 6.8, or a seccomp filter
        return (old_mount_id(file), "", *_file_system(file))


#: By id: many layers lie on few mounts.
_mounts: dict[int, tuple[int, str, int, bool]] = {}


def _file_system(file: int) -> tuple[int, bool]:
    return linux.fs_type(file), os.fstatvfs(file).f_flag & os.ST_RDONLY != 0


def old_mount_id(file: int) -> int:
    info = os.open(f"/proc/self/fdinfo/{file}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for line in os.read(info, 4096).split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"mnt_id":
                return int(value)
    finally:
        os.close(info)
    return -1
