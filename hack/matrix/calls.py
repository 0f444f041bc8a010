"""System calls that Python has no wrapper for; on purpose not ocishim's own, which is under test."""

import ctypes
import os
import platform

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 32, 4096, 16384, 1 << 18, 1 << 19
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MNT_DETACH = 2
_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG = 4, 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
#: The same numbers on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
_MOVE_EMPTY_PATH = 4
_AT_FDCWD = -100

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)"""
    words = [os.fsencode(word) for word in (source, target, kind)]
    _check(_LIBC.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) or None), f"mount {kind or 'bind'}")


def bind(source: str, target: str, flags: int = 0) -> None:
    """Bind a directory or file, alone; with flags, in a second step, as mount(2) wants it."""
    mount(source, target, "", MS_BIND)
    if flags:
        mount("", target, "", MS_BIND | MS_REMOUNT | flags)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)"""
    _check(_LIBC.umount2(os.fsencode(target), flags), "umount")


def unshare(flags: int) -> None:
    """unshare(2)"""
    _check(_LIBC.unshare(flags), "unshare")


def mount_by_parameters(target: str, parameters: list[tuple[str, str]], flags: list[str]) -> None:
    """Mount an overlay by fsopen(2) and one fsconfig(2) for each parameter, which knows no 4096 bytes."""
    context = _check(_LIBC.syscall(_FSOPEN, b"overlay", 1), "fsopen")
    try:
        for key, value in (("source", "overlay"), *parameters):
            words = (os.fsencode(key), os.fsencode(value), 0)
            _check(_LIBC.syscall(_FSCONFIG, context, _FSCONFIG_SET_STRING, *words), f"fsconfig {key}")
        for key in flags:
            _check(_LIBC.syscall(_FSCONFIG, context, _FSCONFIG_SET_FLAG, key.encode(), None, 0), "fsconfig")
        _check(_LIBC.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig create")
        mounted = _check(_LIBC.syscall(_FSMOUNT, context, 1, 0), "fsmount")
        try:
            place = (_AT_FDCWD, os.fsencode(target), _MOVE_EMPTY_PATH)
            _check(_LIBC.syscall(_MOVE_MOUNT, mounted, b"", *place), "move_mount")
        finally:
            os.close(mounted)
    finally:
        os.close(context)


def renameat2(old: str, new: str, flags: int) -> None:
    """renameat2(2)"""
    words = (_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)
    _check(_LIBC.syscall(_RENAMEAT2[platform.machine()], *words), "renameat2")


def be_dumpable() -> None:
    """Own /proc/self again after a change of the uid: prctl(PR_SET_DUMPABLE)."""
    _LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent ends: prctl(PR_SET_PDEATHSIG)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def _check(result: int, call: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
    return result
