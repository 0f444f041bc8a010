"""Single things that must hold of a mounted overlay; each raises WrongError or OSError if it does not."""

import errno
import os
import stat
import subprocess

from . import content
from .both import Both, WrongError
from .ways import FUSE, Mounted, Way

#: What fuse-overlayfs can be asked for: it has no index, metacopy, xino, NFS export or redirects of its own.
_FUSE_KEEPS = ("volatile", "userxattr", "redirect_dir=off", "redirect_dir=nofollow", "xino=auto")


def options(mounted: Mounted, way: Way, asked: tuple[str, ...]) -> None:
    """What was asked for is in effect."""
    if way.backend == FUSE:
        lost = [option for option in asked if option not in _FUSE_KEEPS]
    else:
        has = mounted.super_options()
        lost = [option for option in asked if not (option in has or _is_implied(option, has))]
    if lost:
        raise WrongError(f"not in effect: {', '.join(lost)}")


def _is_implied(option: str, has: list[str]) -> bool:
    """Tell whether an option that mountinfo does not show is in effect as a default, or tried otherwise."""
    name, _, value = option.partition("=")
    if option == "volatile":
        return "fsync=volatile" in has
    if name == "xino":
        return True  # not shown for layers of one file system; device() looks
    try:
        with open(f"/sys/module/overlay/parameters/{name}") as parameter:
            default = parameter.read().strip()
    except OSError:
        return False
    return default == {"on": "Y", "off": "N"}.get(value)


def writable(target: str) -> None:
    """The mount is not read-only, as it silently is where workdir cannot be used."""
    if os.statvfs(target).f_flag & os.ST_RDONLY:
        raise WrongError("it is mounted read-only")


def program(path: str) -> None:
    """The program of the layers runs."""
    status = subprocess.run([path], check=False).returncode
    if status != content.EXITS_WITH:
        raise WrongError(f"status {status}")


def chmod(both: Both, path: str) -> None:
    """A file's mode is what it was set to."""
    os.chmod(both.at(path), 0o600)
    mode = stat.S_IMODE(os.stat(both.at(path)).st_mode)
    if mode != 0o600:
        raise WrongError(f"mode {mode:o}")


def device(both: Both) -> None:
    """Files and directories are on one device, which xino=on is for."""
    devices = {os.lstat(both.at(path)).st_dev for path in ("", *both.model)}
    if len(devices) > 1:
        raise WrongError(f"{len(devices)} values of st_dev")


def xattr(both: Both) -> None:
    """The attribute that was set is there."""
    value = os.getxattr(both.at("marked"), "user.mark")
    if value != b"set":
        raise WrongError(f"user.mark is {value!r}")


def write_is_refused(both: Both) -> None:
    """An overlay without upperdir says no to a write."""
    try:
        both.write("created", b"")
    except OSError as e:
        if e.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return
        raise
    raise WrongError("a read-only overlay was written to")


def rename_of_lower(both: Both, must: bool) -> None:
    """Rename a directory of a lower layer: EXDEV is what programs are told without redirect_dir=on."""
    try:
        both.rename("mover", "moved")
    except OSError as e:
        if e.errno != errno.EXDEV or must:
            raise


def same(path: str, below: str) -> bytes:
    """A file of the kernel reads as it does without an overlay."""
    found, expected = _content(path), _content(below)
    if found != expected:
        raise WrongError(f"{below} is {found[:20]!r}, not {expected[:20]!r}")
    return found


def append_to_copy(path: str, below: str) -> None:
    """Writing to a file of the kernel writes to a copy that has its content, and not to the kernel."""
    before = same(path, below)
    with open(path, "ab") as file:
        file.write(b"more\n")
    if (found := _content(path)) != before + b"more\n":
        raise WrongError(f"{below} is a copy of {len(found)} bytes, not {len(before) + 5}: {found[:20]!r}")
    if (found := _content(below)) != before:
        raise WrongError(f"{below} itself has changed to {found[:20]!r}")


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def has_user_xattrs(directory: str) -> bool:
    """Tell whether files on upperdir's file system can have user.* attributes."""
    path = f"{directory}/.tried"
    try:
        with open(path, "x"):
            pass
        try:
            os.setxattr(path, "user.tried", b"1")
            return True
        finally:
            os.unlink(path)
    except OSError:
        return False
