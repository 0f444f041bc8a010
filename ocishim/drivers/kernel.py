"""The kernel's overlayfs: by the new mount API, by mount(2) where that is missing."""

import os
from errno import EBADF, EINVAL, ENOSYS, EOPNOTSUPP, EPERM

from .. import linux
from ..errors import MountError, SyscallError
from ..options import SUPERBLOCK_FLAGS, escape
from ..probe.same import check_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..candidate import Candidate
    from ..probe.layer import Layer
    from ..step import Step

    SetLayer = Callable[[int, str, str, Layer | None], None]

#: mount(2) cuts its data here without a word: a page less the NUL.
LONGEST_DATA = 4095
#: fsconfig(2) refuses longer strings with EINVAL and no text.
LONGEST_STRING = 255
#: runc and other programs in Go cannot read a mountinfo with a line of 64 KiB; this leaves room for the rest.
LONGEST_LINE = 60_000

_ATTRIBUTES = {
    "ro": linux.MOUNT_ATTR_RDONLY,
    "nosuid": linux.MOUNT_ATTR_NOSUID,
    "nodev": linux.MOUNT_ATTR_NODEV,
    "noexec": linux.MOUNT_ATTR_NOEXEC,
    "nodiratime": linux.MOUNT_ATTR_NODIRATIME,
    "noatime": linux.MOUNT_ATTR_NOATIME,
    "strictatime": linux.MOUNT_ATTR_STRICTATIME,
}
MS_FLAGS = {
    "ro": linux.MS_RDONLY,
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "nodiratime": linux.MS_NODIRATIME,
    "noatime": linux.MS_NOATIME,
    "relatime": linux.MS_RELATIME,
    "strictatime": linux.MS_STRICTATIME,
    "sync": linux.MS_SYNCHRONOUS,
    "dirsync": linux.MS_DIRSYNC,
    "lazytime": linux.MS_LAZYTIME,
}


def mount(step: "Step", by: "Candidate", target: str, empty: str) -> None:
    """Mount an overlay on `target`, with the options of `by`.

    `empty` is an empty directory, the kernel's second lower if it needs one. Layers are given by descriptor
    (kernel 6.13 on: no escapes, no limits), else by string (6.8 on), else in mount(2)'s data, as also where
    mountinfo could not show them. Raises MountError with the kernel's errno and, if it gave any, its words.
    """
    lower = [*step.lower, empty] if step.needs_empty_lower else step.lower
    said = ""
    ways = (_layer_by_fd, _layer_by_string)
    for set_layer in ways if _has_new_options() and _shown(step, lower) <= LONGEST_LINE else ():
        try:
            context = linux.fsopen("overlay")
        except SyscallError as e:
            if e.errno in (ENOSYS, EPERM):  # before 5.2; a seccomp filter
                break
            raise _refused(e, step, "") from None
        try:
            _configure(step, by, lower, context, set_layer)
            _attach(step, context, target)
            return
        except _NotThisWayError:
            said = linux.fs_errors(context) or said
        except SyscallError as e:
            said = linux.fs_errors(context)
            # Until 6.4 any option is taken as it comes and the whole refused: mount(2) may still know it.
            if set_layer is _layer_by_fd or e.errno != EINVAL:
                raise _refused(e, step, said) from None
        finally:
            os.close(context)
    _mount_by_data(step, by, lower, target, said)


def _has_new_options() -> bool:
    """Tell whether overlay may know options one by one. Before 6.5 it logs them as wrong, all at once.

    By the version: mount(2), which is taken instead, is right on every kernel.
    """
    major, minor = os.uname().release.split("-")[0].split(".")[:2]
    return (int(major), int(minor)) >= (6, 5)


def _shown(step: "Step", lower: list[str]) -> int:
    """Count the bytes that mountinfo takes to show the layers, where some characters take four."""
    paths = [*lower, *step.data, step.upper, step.work]
    text = "".join(paths)
    return len(os.fsencode(text)) + 3 * sum(text.count(c) for c in " \t\n\\#,:") + 11 * len(paths)


class _NotThisWayError(Exception):
    """This kernel does not take layers in this way."""


def _configure(step: "Step", by: "Candidate", lower: list[str], context: int, set_layer: "SetLayer") -> None:
    looked = {layer.path: layer for layer in step.layers}
    try:
        set_layer(context, "lowerdir+", lower[0], looked.get(lower[0]))
    except SyscallError as e:
        if e.errno in (EINVAL, EBADF, EOPNOTSUPP):  # the last one before 6.5
            raise _NotThisWayError from None
        raise
    for path in lower[1:]:
        set_layer(context, "lowerdir+", path, looked.get(path))
    for path in step.data:
        set_layer(context, "datadir+", path, looked.get(path))
    if step.upper:
        set_layer(context, "upperdir", step.upper, looked.get(step.upper))
        set_layer(context, "workdir", step.work, looked.get(step.work))
    linux.fsconfig_string(context, "source", step.mount.source)
    for name, value in (*by.options.items(), *step.mount.lsm.items()):
        if value:
            linux.fsconfig_string(context, name, value)
        else:
            linux.fsconfig_flag(context, name)
    for flag in step.mount.flags:
        if flag == "ro" or flag in SUPERBLOCK_FLAGS:
            linux.fsconfig_flag(context, flag)


def _attach(step: "Step", context: int, target: str) -> None:
    attributes = 0
    for flag in step.mount.flags:
        attributes |= _ATTRIBUTES.get(flag, 0)
    linux.fsconfig_create(context)
    mounted = linux.fsmount(context, attributes)
    try:
        linux.move_mount(mounted, target)
    finally:
        os.close(mounted)


def _layer_by_fd(context: int, key: str, path: str, looked: "Layer | None") -> None:
    file = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if looked:
            check_same(looked, os.fstat(file))
        linux.fsconfig_fd(context, key, file)
    finally:
        os.close(file)


def _layer_by_string(context: int, key: str, path: str, _: "Layer | None") -> None:
    # upperdir and workdir are unescaped here (ovl_mount_dir); lowerdir+ is taken as it is.
    value = path if key[-1] == "+" else path.replace("\\", "\\\\")
    if len(os.fsencode(value)) > LONGEST_STRING:
        raise _NotThisWayError
    linux.fsconfig_string(context, key, value)


def _mount_by_data(step: "Step", by: "Candidate", lower: list[str], target: str, said: str) -> None:
    """Mount by mount(2); where its data would be cut, layers are named by descriptors in /proc/self/fd."""
    flags = 0
    for flag in step.mount.flags:
        flags |= MS_FLAGS[flag]
    layers = [*lower, *step.data, *((step.upper, step.work) if step.upper else ())]
    names = [escape(path) for path in layers]
    data = _data(step, by, len(lower), names)
    files: list[int] = []
    directory = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        if len(os.fsencode(data)) > LONGEST_DATA:
            for path in layers:
                files.append(os.open(path, os.O_PATH | os.O_CLOEXEC))  # noqa: PERF401 - closed below
            os.chdir("/proc/self/fd")
            short = [str(file) for file in files]
            # upperdir and workdir in full where they fit: mountinfo is where others look who uses them.
            lowers = len(lower) + len(step.data)
            data = _data(step, by, len(lower), [*short[:lowers], *names[lowers:]])
            if len(os.fsencode(data)) > LONGEST_DATA:
                data = _data(step, by, len(lower), short)
        if len(os.fsencode(data)) > LONGEST_DATA:
            raise MountError(
                f"mount overlay on {step.mount.destination}",
                f"{len(data)} bytes of options: the kernel takes {LONGEST_DATA}",
                "merge some of the layers",
                "OVL-OPT-02",
            )
        linux.mount(step.mount.source, target, "overlay", flags, data)
    except SyscallError as e:
        raise _refused(e, step, said) from None
    finally:
        os.fchdir(directory)
        for file in (directory, *files):
            os.close(file)


def _data(step: "Step", by: "Candidate", lowers: int, names: list[str]) -> str:
    lower, data = names[:lowers], names[lowers : lowers + len(step.data)]
    parts = ["lowerdir=" + ":".join(lower) + "".join(f"::{name}" for name in data)]
    if step.upper:
        parts += [f"upperdir={names[-2]}", f"workdir={names[-1]}"]
    parts += by.words
    parts += [f'{name}="{value}"' for name, value in step.mount.lsm.items()]
    return ",".join(parts)


def _refused(error: SyscallError, step: "Step", log: str) -> MountError:
    from .reason import of_kernel

    why, remedy = of_kernel(error, step, log)
    return MountError(f"mount overlay on {step.mount.destination}", why, remedy, errno=error.errno or 0)
