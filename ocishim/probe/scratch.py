"""Overlays on scratch layers below the current directory (l1, l2), mounted on m and unmounted again.

Attempts are lists of the fields of facts.Attempt, since they go through a pipe.
"""

import os
from errno import ENOSYS, EPERM

from .. import linux
from ..errors import SyscallError
from ..mountinfo import parse
from .facts import errno_name
from .kmsg import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

#: How layers are given: lowerdir as one string, one by one, by descriptor; at last without an upper layer.
_WHOLE = ("lowerdir=l1:l2", "upperdir=", "workdir=")
#: What is tried, and the options for it. `@` sets a descriptor, upperdir and workdir are filled in.
OPTIONS = {
    "overlay": _WHOLE,
    "lowerdir+": ("lowerdir+=l1", "lowerdir+=l2", "upperdir=", "workdir="),
    "descriptors": ("@lowerdir+=l1", "@lowerdir+=l2", "@upperdir=", "@workdir="),
    "data-only": ("lowerdir=l1::l2",),
    "data-only, metacopy=on": ("lowerdir=l1::l2", "metacopy=on"),
    "userxattr": (*_WHOLE, "userxattr"),
    "metacopy=on": (*_WHOLE, "metacopy=on"),
    "redirect_dir=on": (*_WHOLE, "redirect_dir=on"),
    "index=on": (*_WHOLE, "index=on"),
    "nfs_export=on": (*_WHOLE, "index=on", "nfs_export=on"),
    "xino=on": (*_WHOLE, "xino=on"),
    "volatile": (*_WHOLE, "volatile"),
    "verity=on": (*_WHOLE, "metacopy=on", "verity=on"),
}
#: mountinfo shows these where they are in effect, unless they are the module's default.
_SHOWN = ("metacopy=on", "redirect_dir=on", "index=on", "nfs_export=on", "verity=on")


def options() -> "dict[str, list[str]]":
    """Try each of OPTIONS."""
    return {name: _option(f"o{at}", name, words) for at, (name, words) in enumerate(OPTIONS.items())}


def _option(scratch: str, name: str, words: tuple[str, ...]) -> list[str]:
    """Mount an overlay with an option, see whether the kernel kept it, and unmount."""
    attempt = mount(scratch, words)
    if attempt[0] == "yes":
        if name in _SHOWN and not _is_in_effect(*name.split("=")):
            attempt = ["no", "mount", "", "the kernel mounts it and drops the option"]
        linux.umount("m")
    return attempt


def mount(name: str, words: tuple[str, ...]) -> list[str]:
    """Mount an overlay on m with layers of its own: upper and work directories are never used twice."""
    for kind in ("upperdir", "workdir"):
        os.mkdir(f"{name}-{kind}")
    words = tuple(f"{word}{name}-{word.strip('@=')}" if word[-1] == "=" else word for word in words)
    watch = Watch()
    try:
        context = linux.fsopen("overlay")
    except SyscallError as e:
        if e.errno not in (ENOSYS, EPERM) or words[0][:1] == "@":
            return no(e)
        try:
            linux.mount("overlay", "m", "overlay", 0, ",".join(words))
        except SyscallError as e:
            return [*no(e), watch.said()]
        return ["yes"]
    step = ""
    try:
        for word in words:
            key, _, value = word.partition("=")
            step = f"fsconfig {key.lstrip('@')}"
            _configure(context, key, value)
        step = "fsconfig create"
        linux.fsconfig_create(context)
        step = "fsmount"
        mounted = linux.fsmount(context, 0)
        try:
            linux.move_mount(mounted, "m")
        finally:
            os.close(mounted)
    except SyscallError as e:
        return ["no", step, errno_name(e), linux.fs_errors(context) or watch.said()]
    finally:
        os.close(context)
    return ["yes"]


def _configure(context: int, key: str, value: str) -> None:
    if key[0] == "@":
        file = os.open(value, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            linux.fsconfig_fd(context, key[1:], file)
        finally:
            os.close(file)
    elif value:
        linux.fsconfig_string(context, key, value)
    else:
        linux.fsconfig_flag(context, key)


def whole(where: str, userxattr: bool) -> "dict[str, Any]":
    """Mount a whole overlay and do what containers do to it."""
    fill()
    attempt = mount(f"x{userxattr}", (*_WHOLE, "userxattr") if userxattr else _WHOLE)
    operations = {}
    if attempt[0] == "yes":
        operations = dict(operate())
        linux.umount("m")
    return trial(where, userxattr, attempt, operations)


def fill() -> None:
    """Put into the lower layers what the operations need."""
    for path in ("l1/directory", "l1/opaque"):
        os.makedirs(path, exist_ok=True)
        write(f"{path}/file", "lower\n")
    write("l1/gone", "")


def operate() -> "Iterator[tuple[str, str]]":
    """Do what containers do to the overlay on m; give each operation's name and errno, empty if it works."""
    for name, operation in OPERATIONS.items():
        try:
            operation()
        except OSError as e:
            yield name, errno_name(e)
        else:
            yield name, ""


def _whiteout() -> None:
    os.unlink("m/gone")
    if "gone" in os.listdir("m"):
        raise FileExistsError(17, "the deleted name is still there")


def _opaque() -> None:
    os.unlink("m/opaque/file")
    os.rmdir("m/opaque")
    os.mkdir("m/opaque")
    if os.listdir("m/opaque"):
        raise FileExistsError(17, "the deleted file is back")


def _rename() -> None:
    os.mkdir("m/new")
    os.rename("m/new", "m/renamed")


#: In this order; the names are those of facts.schema.json.
OPERATIONS: "dict[str, Callable[[], object]]" = {
    "read": lambda: os.stat("m/directory/file") and os.listdir("m"),
    "write": lambda: write("m/directory/file", "upper\n"),
    "whiteout": _whiteout,
    "opaque": _opaque,
    "rename": _rename,
    "xattr": lambda: os.setxattr("m/directory/file", "user.ocishim", b""),
}


def trial(where: str, userxattr: bool, attempt: list[str], operations: dict[str, str]) -> "dict[str, Any]":
    """Give the fields of a facts.Trial."""
    return {"where": where, "userxattr": userxattr, "mount": attempt, "operations": operations}


def _is_in_effect(name: str, value: str) -> bool:
    """Look into mountinfo, or at the module's default, which mountinfo leaves out."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        own = [mount for mount in parse(file.read()) if mount.mount_point == f"{os.getcwd()}/m"]
    shown = own[-1].super_option(name) if own else value
    if shown is None:
        try:
            with open(f"/sys/module/overlay/parameters/{name}", encoding="ascii") as file:
                shown = "on" if file.read().strip() == "Y" else "off"
        except OSError:
            shown = "off"
    return shown == value


def no(error: SyscallError) -> list[str]:
    """Give the fields of a facts.Attempt that a system call refused."""
    return ["no", error.syscall, errno_name(error)]


def write(path: str, text: str) -> None:
    """Write text over the beginning of a file, in one write(2), which uid_map wants."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
