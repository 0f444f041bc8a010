"""System calls that Python 3.11 has no wrapper for: one function each, no policy."""

import _ctypes  # ctypes' C half; ctypes itself costs 2 ms more
import os
import sys
from errno import ENOSYS, EPERM

from .errors import SyscallError


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # it takes no parameter when it runs
    _type_ = "i"


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    _type_ = "l"


class _Word(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    """What a register holds: a number, or the address of bytes, of a buffer or of nothing."""

    _type_ = "P"


class _Char(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    _type_ = "c"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


class _Library:
    _handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None is this process


def _function(name: str, arguments: int) -> _Function:
    found = _Function((name, _Library))  # type: ignore[arg-type]  # what of CDLL is asked for
    found.argtypes = (_Word,) * arguments
    return found


class _libc:
    mount = _function("mount", 5)
    umount2 = _function("umount2", 2)
    unshare = _function("unshare", 1)
    setns = _function("setns", 2)
    fstatfs = _function("fstatfs", 2)
    statx = _function("statx", 5)
    setfsuid = _function("setfsuid", 1)
    setfsgid = _function("setfsgid", 1)
    capget = _function("capget", 2)
    capset = _function("capset", 2)
    prctl = _function("prctl", 5)
    inotify_init1 = _function("inotify_init1", 1)
    inotify_add_watch = _function("inotify_add_watch", 3)
    name_to_handle_at = _function("name_to_handle_at", 5)
    syscall = _function("syscall", 7)
    syscall.restype = _Long


# The numbers of system calls from 424 on are the same on every architecture but alpha.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_STATMOUNT = 457

#: How numbers lie in memory here.
ORDER = sys.byteorder

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_DIRSYNC = 0x80
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

_MNT_FORCE = 1
_MNT_DETACH = 2

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
_OPEN_TREE_CLONE = 1
_MAX_HANDLE_SZ = 128
_AT_RECURSIVE = 0x8000
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_STATX_MNT_ID_UNIQUE = 0x4000
_STATMOUNT_SB_BASIC_MNT_BASIC_OPTS = 0x1 | 0x2 | 0x80

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
_MOUNT_ATTR_IDMAP = 0x00100000
#: _LINUX_CAPABILITY_VERSION_3, and 0 for this process.
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522.to_bytes(4, ORDER) + bytes(4)
_SYS_MOUNT_SETATTR = 442


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2)."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str, flags: int, data: str = "") -> None:
    """mount(2); `data` is cut at 4095 bytes by the kernel, without a word."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(fstype), flags, os.fsencode(data)
    )
    _check(result, "mount", target)


def umount(target: str, force: bool = False) -> None:
    """umount2(2) with MNT_DETACH; with MNT_FORCE it ends the connection of a FUSE mount, too."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH | (_MNT_FORCE if force else 0)), "umount", target)


def name_to_handle(path: str) -> tuple[int, bytes]:
    """name_to_handle_at(2): the handle's type, and the handle."""
    handle = (_Char * (8 + _MAX_HANDLE_SZ))(*_MAX_HANDLE_SZ.to_bytes(4, ORDER))
    mount = (_Char * 4)()
    result = _libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), handle, mount, 0)
    _check(result, "name_to_handle_at", path)
    found = bytes(handle)
    length, kind = (int.from_bytes(found[at : at + 4], ORDER) for at in (0, 4))
    return kind, found[8 : 8 + length]


def fsopen(fstype: str) -> int:
    """fsopen(2): a descriptor, close-on-exec. ENOSYS before kernel 5.2."""
    return _syscall("fsopen", _SYS_FSOPEN, fstype.encode(), _FSOPEN_CLOEXEC)


def fsconfig_flag(fd: int, key: str) -> None:
    """fsconfig(2), FSCONFIG_SET_FLAG."""
    _fsconfig(fd, FSCONFIG_SET_FLAG, key, None, 0)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    """fsconfig(2), FSCONFIG_SET_STRING; EINVAL if the value has more than 255 bytes."""
    _fsconfig(fd, FSCONFIG_SET_STRING, key, os.fsencode(value), 0)


def fsconfig_fd(fd: int, key: str, value: int) -> None:
    """fsconfig(2), FSCONFIG_SET_FD; overlay takes layers so from kernel 6.13 on."""
    _fsconfig(fd, FSCONFIG_SET_FD, key, None, value)


def fsconfig_create(fd: int) -> None:
    """fsconfig(2), FSCONFIG_CMD_CREATE."""
    _fsconfig(fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fs_errors(fd: int) -> str:
    """Read the errors that the kernel left in a file system context (fsopen(2)), in one line."""
    lines = []
    try:
        while True:
            lines.append(os.read(fd, 4096).decode(errors="replace").strip())
    except OSError:  # ENODATA: no more
        pass
    return "; ".join(line[2:].removeprefix("overlay: ") for line in lines if line[:1] == "e")


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2): a descriptor of the detached mount, close-on-exec."""
    return _syscall("fsmount", _SYS_FSMOUNT, fd, _FSMOUNT_CLOEXEC, attributes)


def open_tree(path: str, recursive: bool = True) -> int:
    """open_tree(2): a descriptor of a detached clone of path, with the mounts below it or without.

    Close-on-exec.
    """
    flags = _OPEN_TREE_CLONE | (_AT_RECURSIVE if recursive else 0) | os.O_CLOEXEC
    return _syscall("open_tree", _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags, path=path)


def mount_setattr_idmap(fd: int, userns: int) -> None:
    """mount_setattr(2), MOUNT_ATTR_IDMAP, on a detached mount; `userns` is a descriptor. Since 5.12."""
    attributes = b"".join(each.to_bytes(8, ORDER) for each in (_MOUNT_ATTR_IDMAP, 0, 0, userns))
    size = len(attributes)
    _syscall("mount_setattr", _SYS_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, attributes, size)


def setfsids(uid: int, gid: int) -> None:
    """setfsuid(2) and setfsgid(2), which answer with the id before: asked again, they tell the new one."""
    for name, call, wanted in (("setfsgid", _libc.setfsgid, gid), ("setfsuid", _libc.setfsuid, uid)):
        call(wanted)
        if call(0xFFFFFFFF) & 0xFFFFFFFF != wanted:
            raise SyscallError(EPERM, name)


def capabilities() -> bytes:
    """capget(2): this process's sets: twice effective, permitted, inheritable, 32 bits each."""
    sets = (_Char * 24)()
    _check(_libc.capget(_CAPABILITY_VERSION_3, sets), "capget")
    return bytes(sets)


def set_capabilities(sets: bytes) -> None:
    """capset(2), in the form of `capabilities`."""
    _check(_libc.capset(_CAPABILITY_VERSION_3, sets), "capset")


def raise_ambient(capability: int) -> None:
    """prctl(2), PR_CAP_AMBIENT_RAISE. EPERM where it is not permitted and inheritable, EINVAL for none."""
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl")


def inotify() -> int:
    """inotify_init1(2): a descriptor, close-on-exec. EMFILE where the user has too many of them."""
    return _check(_libc.inotify_init1(os.O_CLOEXEC), "inotify_init1")


def watch(inotify: int, path: str, events: int) -> None:
    """inotify_add_watch(2)."""
    _check(_libc.inotify_add_watch(inotify, os.fsencode(path), events), "inotify_add_watch", path)


def move_mount(fd: int, target: str) -> None:
    """move_mount(2) of the mount that fd refers to."""
    _syscall(
        "move_mount",
        _SYS_MOVE_MOUNT,
        fd,
        b"",
        _AT_FDCWD,
        os.fsencode(target),
        _MOVE_MOUNT_F_EMPTY_PATH,
        path=target,
    )


def fs_type(fd: int) -> int:
    """fstatfs(2): the magic number of a file's file system (statfs(2) lists them)."""
    buffer = (_Char * 256)()
    _check(_libc.fstatfs(fd, buffer), "fstatfs")
    return int.from_bytes(bytes(buffer)[: _ctypes.sizeof(_Long)], ORDER)


def mount_id(fd: int) -> int:
    """statx(2), STATX_MNT_ID_UNIQUE: an id that no other mount gets until the reboot. ENOSYS before 6.8."""
    buffer = (_Char * 256)()
    _check(_libc.statx(fd, b"", _AT_EMPTY_PATH, _STATX_MNT_ID_UNIQUE, buffer), "statx")
    found = bytes(buffer)
    if not int.from_bytes(found[:4], ORDER) & _STATX_MNT_ID_UNIQUE:
        raise SyscallError(ENOSYS, "statx")
    return int.from_bytes(found[0x90:0x98], ORDER)


def statmount(mount: int) -> bytes:
    """statmount(2) of a unique id: flags of the mount and options of its file system, opaque. From 6.8 on."""
    request = (24).to_bytes(4, ORDER) + bytes(4)
    request += mount.to_bytes(8, ORDER) + _STATMOUNT_SB_BASIC_MNT_BASIC_OPTS.to_bytes(8, ORDER)
    buffer = (_Char * 8192)()
    _syscall("statmount", _SYS_STATMOUNT, request, buffer, 8192, 0)
    found = bytes(buffer)
    return found[: int.from_bytes(found[:4], ORDER)]


def _fsconfig(fd: int, command: int, key: str | None, value: bytes | None, aux: int) -> None:
    name = None if key is None else os.fsencode(key)
    _syscall("fsconfig", _SYS_FSCONFIG, fd, command, name, value, aux, path=key)


#: Behind the arguments of a system call.
_NOTHING = (0,) * 6


def _syscall(name: str, number: int, *arguments: object, path: str | None = None) -> int:
    return _check(_libc.syscall(number, *arguments, *_NOTHING[len(arguments) :]), name, path)


def _check(result: int, syscall: str, path: str | None = None) -> int:
    if result < 0:
        raise SyscallError(_ctypes.get_errno(), syscall, path)
    return result
