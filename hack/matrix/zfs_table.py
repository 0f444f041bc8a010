"""What overlays with layers on ZFS do, operation by operation: mounted as given, no ocishim in between."""

import dataclasses
import functools
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from . import calls, privilege
from .zfs_facts import outcome

_NOBODY = privilege.NOBODY


@dataclasses.dataclass(frozen=True)
class Row:
    """An overlay: who mounts it, the directories that hold its layers, its other options."""

    who: str
    lower: str
    upper: str
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Give it as one line."""
        return " ".join([self.who, f"{self.lower}:{self.upper}", *self.options])


def rows(datasets: list[str], others: list[str], memory: str) -> list[Row]:
    """Give what is tried with each dataset, as lower, as upper, as both; with the others less."""
    root, userns, mark = privilege.ROOT, privilege.USERNS, ("userxattr",)
    simple = [Row(root, zfs, zfs) for zfs in others]
    return simple + [
        row
        for zfs in datasets
        for row in (
            *(Row(root, *pair) for pair in ((zfs, zfs), (zfs, memory), (memory, zfs))),
            *(Row(userns, *pair, mark) for pair in ((zfs, zfs), (zfs, memory), (memory, zfs))),
            *(Row(userns, *pair) for pair in ((zfs, zfs), (zfs, memory), (memory, zfs))),
            *(Row(root, zfs, zfs, (option,)) for option in ("redirect_dir=on", "metacopy=on", "index=on")),
        )
    ]


def expected(version: str, row: Row) -> dict[str, str]:
    """Give what does not go well, of what users notice first; on Linux 6.1 tmpfs has no user xattrs."""
    no_rename = version.startswith(("0.", "2.0.", "2.1.")) and not row.upper.startswith("/mnt")
    no_xattr = row.who == privilege.USERNS and (not row.options or row.upper.startswith("/mnt"))
    return {
        **({"mv file": "EINVAL"} if no_rename else {}),
        **({"rm -r directory": "EINVAL", "mkdir in its place": "EEXIST"} if no_rename else {}),
        **({"rm -r directory": "EIO", "mkdir in its place": "EEXIST"} if no_xattr else {}),
    }


def judge(row: Row, place: pathlib.Path) -> dict[str, Any]:
    """Make the layers and the mount point, mount, do everything, and give what came of it by operation."""
    lower, upper = (_directory(base, row, which) for base, which in ((row.lower, "l"), (row.upper, "u")))
    _fill(pathlib.Path(lower))
    for name in ("upper", "work"):
        os.mkdir(f"{upper}/{name}")
    if row.who == privilege.USERNS:
        for base in (lower, upper):
            for path in (base, *map(str, pathlib.Path(base).rglob("*"))):
                os.lchown(path, _NOBODY, _NOBODY)
    target = place / "merged"
    target.mkdir(exist_ok=True)
    data = ",".join([f"lowerdir={lower}", f"upperdir={upper}/upper", f"workdir={upper}/work", *row.options])
    with open("/dev/kmsg", "rb", buffering=0) as log:
        os.set_blocking(log.fileno(), False)
        os.lseek(log.fileno(), 0, os.SEEK_END)
        found: dict[str, Any] = privilege.run(row.who, lambda: _within(str(target), data), 60)
        found["kernel says"] = _overlay_lines(log.fileno())
    return found


def _directory(base: str, row: Row, which: str) -> str:
    name = f"{base}/{which}-{abs(hash(row)):x}"
    os.mkdir(name)
    return name


def _fill(lower: pathlib.Path) -> None:
    for name in ("read", "append", "remove", "move", "chmod", "link", "xattr", "exchange"):
        (lower / name).write_text(f"{name}\n")
    for name in ("tree", "renamed", "hollow"):
        (lower / name).mkdir()
        (lower / name / "inside").write_text("inside\n")


def _within(target: str, data: str) -> dict[str, Any]:
    mounted = outcome(lambda: calls.mount("overlay", target, "overlay", 0, data))
    if mounted != "ok":
        return {"mount": mounted}
    found: dict[str, Any] = {"mount": "ok"}
    found.update(
        {name: outcome(functools.partial(do, pathlib.Path(target))) for name, do in _OPERATIONS.items()}
    )
    found["super options"] = _super_options(target)
    return found


def _append(at: pathlib.Path) -> str | None:
    with (at / "append").open("a") as file:
        file.write("more\n")
    return _unless((at / "append").read_text(), "append\nmore\n")


def _unless(found: object, expected: object) -> str | None:
    """Give nothing if they are the same: an operation that did as it should."""
    return None if found == expected else f"{found!r} instead of {expected!r}"


def _move(at: pathlib.Path) -> str | None:
    os.rename(at / "move", at / "moved")
    return _unless((at / "moved").read_text(), "move\n")


def _remove_tree(at: pathlib.Path) -> None:
    os.unlink(at / "tree/inside")
    os.rmdir(at / "tree")


def _make_again(at: pathlib.Path) -> str | None:
    os.mkdir(at / "tree")
    return _unless(os.listdir(at / "tree"), [])


def _rename_new_directory(at: pathlib.Path) -> None:
    os.mkdir(at / "new")
    os.rename(at / "new", at / "newer")


def _tmpfile(at: pathlib.Path) -> None:
    os.close(os.open(at, os.O_TMPFILE | os.O_WRONLY))


#: In this order: some use what those before them leave.
_OPERATIONS: dict[str, Callable[[pathlib.Path], Any]] = {
    "read": lambda at: _unless((at / "read").read_text(), "read\n"),
    "append": _append,
    "rm file": lambda at: os.unlink(at / "remove"),
    "rm file, seen": lambda at: _unless((at / "remove").exists(), False),
    "mv file": _move,
    "mv file, old name seen": lambda at: _unless((at / "move").exists(), False),
    "rm -r directory": _remove_tree,
    "mkdir in its place": _make_again,
    "mv new directory": _rename_new_directory,
    "mv lower directory": lambda at: os.rename(at / "renamed", at / "renamed2"),
    "chmod": lambda at: os.chmod(at / "chmod", 0o700),
    "link": lambda at: os.link(at / "link", at / "link2"),
    "set user xattr": lambda at: os.setxattr(at / "xattr", "user.a", b"b"),
    "exchange": lambda at: calls.renameat2(str(at / "exchange"), str(at / "append"), 2),
    "O_TMPFILE": _tmpfile,
    "rmtree by Python": lambda at: shutil.rmtree(at / "hollow"),
}


def _super_options(target: str) -> str:
    """Give the options besides the layers: those that the kernel has changed are among them."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    [line] = [line for line in lines if line.split()[4] == target]
    words = line.partition(" - ")[2].split()[2].split(",")
    return ",".join(word for word in words if not word.startswith(("lowerdir=", "upperdir=", "workdir=")))


def _overlay_lines(log: int) -> list[str]:
    """Give what overlayfs has said since; each read(2) is one record."""
    said: dict[str, None] = {}
    while True:
        try:
            record = os.read(log, 8192).decode(errors="replace")
        except BlockingIOError:
            return list(said)
        text = record.partition(";")[2].splitlines()[0]
        if text.startswith("overlayfs:"):
            said[text] = None
