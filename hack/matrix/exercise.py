"""What programs do with an overlay, done to one: which operation fails first, if any."""

import dataclasses
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from . import checks
from .both import Both, WrongError
from .trees import Tree
from .ways import Layers, Mounted, Way

_T = TypeVar("_T")
_TICKS = 0.025
#: How an overlay is exercised. OWN: all that its owner may do; FOREIGN: the layers' files are somebody
#: else's, without a mapping; PSEUDO: files of the kernel; READ: no upperdir.
OWN, FOREIGN, PSEUDO, READ = "own", "foreign", "pseudo", "read"
#: Of each, a file that says the same for as long as this takes, has content, and that its owner may write.
_EXAMPLE = {
    "proc": "sys/kernel/domainname",
    "sysfs": "module/overlay/parameters/metacopy",
    "cgroup2": "cgroup.max.depth",
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Fine, or the operation that failed and how."""

    operation: str = ""
    errno: str = ""
    said: str = ""

    @property
    def is_fine(self) -> bool:
        """Tell whether nothing failed."""
        return not self.operation

    def __str__(self) -> str:
        return "fine" if self.is_fine else f"{self.operation}: {self.errno or self.said}"


@dataclasses.dataclass(frozen=True)
class Task:
    """What is expected of a case's overlay."""

    kind: str
    expected: Tree
    asked: tuple[str, ...] = ()
    pseudo: str = ""
    unjudged: str = ""


def run(way: Way, layers: Layers, task: Task, target: str) -> Outcome:
    """Mount, exercise, unmount; mount again, compare; say what failed first."""
    has_xattrs = bool(layers.upper) and checks.has_user_xattrs(layers.work)
    both = Both(target, task.expected, task.unjudged)
    try:
        mounted = _perform("mount", lambda: Mounted(way, layers, target))
        for step in _steps(mounted, way, layers, task, both, has_xattrs):
            _perform(*step)
        _perform("unmount", mounted.umount)
        if layers.upper and task.kind != PSEUDO:
            shutil.rmtree(f"{layers.work}/work/incompat", ignore_errors=True)  # volatile's, by design
            mounted = _perform("mount again", lambda: Mounted(way, layers, target))
            for step in _steps_again(both, task, has_xattrs):
                _perform(*step)
            _perform("unmount again", mounted.umount)
    except FailedError as e:
        return e.outcome
    return Outcome()


class FailedError(Exception):
    """An operation failed; the rest is not tried, since the model no longer tells what to expect."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


def _perform(name: str, operation: Callable[[], _T]) -> _T:
    try:
        return operation()
    except OSError as e:
        raise FailedError(Outcome(name, errno.errorcode.get(e.errno or 0, ""), str(e))) from None
    except (WrongError, subprocess.SubprocessError) as e:
        raise FailedError(Outcome(name, "", str(e))) from None


Step = tuple[str, Callable[[], Any]]


def _steps(
    mounted: Mounted, way: Way, layers: Layers, task: Task, both: Both, has_xattrs: bool
) -> Iterator[Step]:
    yield "options", lambda: checks.options(mounted, way, task.asked)
    if layers.upper:
        yield "writable", lambda: checks.writable(mounted.target)
    if task.kind == PSEUDO:
        yield from _of_pseudo(both, layers.lower[0], task.pseudo)
        return
    yield "list", both.check_names
    yield "read", both.check
    if both.has("program"):
        yield "exec", lambda: checks.program(both.at("program"))
    if task.kind == READ:
        yield "refuse a write", lambda: checks.write_is_refused(both)
    elif task.kind == FOREIGN:
        yield from _of_foreign(both)
    else:
        yield from _of_owner(both, task, has_xattrs)
    yield "compare", both.check


def _of_owner(both: Both, task: Task, has_xattrs: bool) -> Iterator[Step]:
    if "xino=on" in task.asked:
        yield "st_dev", lambda: checks.device(both)
    if both.has("file"):
        yield "append", lambda: both.append("file", b"and more\n")
    if both.has("deep/er/still/leaf"):
        yield "append deep down", lambda: both.append("deep/er/still/leaf", b"and more\n")
    if both.has("mode"):
        yield "chmod", lambda: checks.chmod(both, "mode")
    if both.has("program"):
        yield "chmod of a program", lambda: os.chmod(both.at("program"), 0o700)
        yield "exec of a copied program", lambda: checks.program(both.at("program"))
    if both.has("big"):
        yield "chmod of a large file", lambda: checks.chmod(both, "big")
        yield "read after chmod", lambda: both.check_file("big")
    if both.has("short"):
        yield "truncate", lambda: both.truncate("short", 5)
    if has_xattrs and both.has("marked"):
        yield "setxattr", lambda: os.setxattr(both.at("marked"), "user.mark", b"set")
    if both.has("doomed"):
        yield "unlink", lambda: both.unlink("doomed")
    if both.has("again"):
        yield "unlink before making again", lambda: both.unlink("again")
        yield "make again", lambda: both.write("again", b"made again\n")
    if both.has("tree"):
        yield "rm -r", lambda: both.remove("tree")
        yield "mkdir again", lambda: both.make("tree")
        # By fuse-overlayfs 1.10 on kernels before 6.13 such a directory is listed as it was for good, if it
        # changes in the tick of the clock in which it was listed (OVL-FUS-05).
        yield "wait for the clock", lambda: time.sleep(_TICKS)
        yield "create in it", lambda: both.write("tree/new", b"new\n")
    if both.has("renamed"):
        yield "rename of a lower file", lambda: both.rename("renamed", "renamed-2")
    yield "mkdir", lambda: both.make("made")
    yield "create in a new directory", lambda: both.write("made/in", b"in\n")
    yield "rename of a new directory", lambda: both.rename("made", "made-2")
    if both.has("mover"):
        yield (
            "rename of a lower directory",
            lambda: checks.rename_of_lower(both, "redirect_dir=on" in task.asked),
        )
    yield "create", lambda: both.write("created", b"created\n")
    yield "link", lambda: both.link("created", "created-2")
    if both.has("linked"):
        yield "link of a lower file", lambda: both.link("linked", "linked-2")
    yield "symlink", lambda: both.symlink("created", "symbolic")


def _of_foreign(both: Both) -> Iterator[Step]:
    yield "create", lambda: both.write("created", b"created\n")
    yield "unlink", lambda: both.unlink("doomed")
    yield "mkdir", lambda: both.make("made")
    yield "rename of a new directory", lambda: both.rename("made", "made-2")


def _of_pseudo(both: Both, below: str, name: str) -> Iterator[Step]:
    yield "list", lambda: os.listdir(both.at(""))
    path = _EXAMPLE.get(name, "")
    if path and os.path.exists(f"{below}/{path}"):
        yield "read", lambda: checks.same(both.at(path), f"{below}/{path}")
        if os.access(f"{below}/{path}", os.W_OK):
            yield "append", lambda: checks.append_to_copy(both.at(path), f"{below}/{path}")
    yield "create", lambda: both.write("ocishim-created", b"created\n")
    yield "read it back", lambda: both.check_file("ocishim-created")
    yield "remove it", lambda: os.unlink(both.at("ocishim-created"))


def _steps_again(both: Both, task: Task, has_xattrs: bool) -> Iterator[Step]:
    yield "compare after mounting again", both.check
    if task.kind == OWN:
        if has_xattrs and both.has("marked"):
            yield "getxattr after mounting again", lambda: checks.xattr(both)
        if both.has("other"):
            yield "unlink after mounting again", lambda: both.unlink("other")
        yield "create after mounting again", lambda: both.write("late", b"late\n")
        yield "compare at the end", both.check
