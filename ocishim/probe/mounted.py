"""What came up: a mount can succeed read-only, unreadable, or without an option that it was given."""

import os
from errno import EACCES

from .. import filesystems
from ..errors import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..step import Step

#: Options that the kernel may drop although it mounts, and the values that must then be in effect.
_DROPPED = {
    "index": ("on",),
    "metacopy": ("on",),
    "nfs_export": ("on",),
    "redirect_dir": ("on",),
    "uuid": ("on",),
    "verity": ("on", "require"),
    "volatile": ("",),
    "xino": ("on",),
}


def problem(step: "Step", target: str, backend: str) -> tuple[str, str, str]:
    """Say what is wrong with a fresh overlay, what to do, and the page; all "" if nothing is."""
    try:
        found = os.statvfs(target)
        with os.scandir(target) as entries:
            next(entries, None)
        if os.stat(target).st_dev == os.stat(os.path.dirname(target)).st_dev:
            return "the mount did not take place", "", ""
    except OSError as e:
        fuse = [layer for layer in step.read if layer.magic == filesystems.FUSE]
        if e.errno == EACCES and fuse:
            return _finding("OVL-LOW-05", role=fuse[0].role, path=fuse[0].path, uid=os.geteuid())
        return f"its root cannot be read: {words(e.errno or 0)}", "", ""
    if found.f_flag & os.ST_RDONLY and not step.mount.read_only:
        return _finding("OVL-OPT-16", path=step.work, errno="the kernel could not empty or fill it")
    if backend == "kernel":
        return _dropped(step, target)
    return "", "", ""


def _finding(id_: str, **values: object) -> tuple[str, str, str]:
    from .. import findings

    finding = findings.get(id_)
    return finding.message.format(**values), finding.remedy, id_


def is_refused(target: str) -> bool:
    """Tell whether the root of a fresh overlay answers EACCES, as over a FUSE layer not asked yet."""
    try:
        os.stat(f"{target}/.")
        with os.scandir(target):
            return False
    except OSError as e:
        return e.errno == EACCES


def _dropped(step: "Step", target: str) -> tuple[str, str, str]:
    asked = {name: value for name, value in step.mount.options.items() if value in _DROPPED.get(name, ())}
    if not asked:
        return "", "", ""
    from ..mountinfo import parse

    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read().decode("utf-8", "surrogateescape")
    [mount] = [mount for mount in parse(text) if mount.mount_point == target]
    for name, value in asked.items():
        shown = mount.super_option(name)
        if name == "volatile" and mount.super_option("fsync") == "volatile":
            shown = ""  # the same, in the words of a kernel that has fsync=
        if name == "xino" and shown is None and _on_one_filesystem(step):
            continue  # inode numbers are right without it, and the kernel leaves it out
        if shown is None:
            shown = _default(name)
        if shown != value:
            word = f"{name}={value}" if value else name
            return _finding("OVL-OPT-22", option=word)
    return "", "", ""


def _on_one_filesystem(step: "Step") -> bool:
    return len({os.stat(path).st_dev for path in (*step.lower, *step.data, step.upper or step.lower[0])}) == 1


def _default(name: str) -> str:
    """What an option is where mountinfo does not show it: the module's parameter."""
    parameter = "xino_auto" if name == "xino" else name
    try:
        with open(f"/sys/module/overlay/parameters/{parameter}", encoding="ascii") as file:
            is_set = file.read().strip() == "Y"
    except OSError:
        return "off"
    if name == "xino":
        return "auto" if is_set else "off"
    return "on" if is_set else "off"
