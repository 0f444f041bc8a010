"""The workdir that a view has beside its upperdir: made, locked, and removed when the overlay is gone."""

import os

from . import linux, patience, refusal, watch
from .errors import HostError, ShimError, SpecError, SyscallError, words
from .probe import busy, holder, layer, room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: Behind it stands upperdir's inode number: so its next view finds what one that was killed has left.
NAME = ".ocishim-work-"


class Workdir:
    """A workdir of one view, to be made by `make`, and the process that removes it.

    The process waits outside of the view's namespaces, with upperdir locked, until the overlay is gone or
    this process ends without having mounted it. It holds neither mount nor namespace.
    """

    def __init__(self, path: str, locks: list[int], suspects: "list[tuple[layer.Layer, str]]") -> None:
        self.path = path
        self.locks = locks
        self._suspects = suspects
        try:
            self._watch = linux.inotify()
        except SyscallError as e:
            remedy = "raise the sysctl fs.inotify.max_user_instances"
            raise HostError(f"workdir {path}", str(e), remedy) from None
        begin, self._begin = os.pipe2(os.O_CLOEXEC)
        self._end, end = os.pipe2(os.O_CLOEXEC)
        child = patience.fork()
        if child == 0:
            self._start(begin, end)
        os.close(begin)
        os.close(end)
        if os.waitpid(child, 0)[1]:
            raise HostError(f"workdir {path}", "no process that could remove it afterwards", "try again")

    def _start(self, begin: int, end: int) -> "NoReturn":
        status = 1
        try:
            os.setsid()
            if patience.fork() == 0:  # init's child: the command must not be told of its end
                _keep(self.path, begin, self._watch, [end, *self.locks])
            status = 0
        finally:
            os._exit(status)

    def check_alone(self, scratch: str, where: str) -> None:
        """Raise SpecError if another namespace of the user has upperdir; `scratch` is an empty directory."""
        for found in self._suspects:
            if busy.is_busy(found[0].path, scratch) is not False:
                raise _in_use(found, where)

    def mounted_on(self, target: str) -> None:
        """Keep the directory until the overlay that is mounted there is gone. Raises HostError."""
        try:
            watch.add(self._watch, target)
        except SyscallError as e:
            remedy = "raise the sysctl fs.inotify.max_user_watches"
            raise HostError(f"workdir {self.path}", str(e), remedy) from None
        os.write(self._begin, b".")

    def give_up(self) -> None:
        """Have the directory removed at once; it is gone afterwards."""
        os.close(self._begin)
        os.read(self._end, 1)


def make(upper: "layer.Layer", where: str) -> Workdir:
    """Make the workdir of an upperdir. Raises ShimError if somebody has that already, or none can be made."""
    locks = _lock(upper, where)
    parent, name = os.path.split(upper.path)
    if not name or layer.look("workdir", parent, "/").mount != upper.mount:
        why = "a mount point: its workdir would lie on another file system, beside it"
        raise ShimError(f"{where}: --upper {upper.path}", why, "name a directory inside it")
    path = f"{parent.rstrip('/')}/{NAME}{upper.inode}"
    # What a user's other namespaces have cannot be seen from within one.
    suspects = list(holder.search([upper])) if os.geteuid() else []
    work = Workdir(path, locks, suspects)  # whoever is killed from now on leaves nothing
    _remove(path)
    try:
        os.mkdir(path, 0o700)
    except OSError as e:
        work.give_up()
        remedy = "name an upper layer in a directory that you may write to"
        if isinstance(e, FileExistsError):
            remedy = f"ocishim unshare -- rm -rf {path}"
        why = f"{path}: {words(e.errno or 0)}"
        raise HostError(f"{where}: workdir beside --upper {upper.path}", why, remedy) from None
    return work


def _lock(upper: "layer.Layer", where: str) -> list[int]:
    """Keep others out of an upperdir. Raises SpecError if one has it."""
    import time

    begin = time.monotonic()
    waited = 0.0
    found = None
    while not found and holder.is_locked(upper) and waited < holder.PATIENCE:
        time.sleep(0.05)  # one that begins is seen in a moment, one that ends is gone in a moment
        waited = time.monotonic() - begin
        found = next(holder.search([upper]), None)
        if not found and waited > holder.LINGER:
            found = holder.server([upper])
    if not found:
        locks, taken, by = holder.lock([upper])
        if not taken:
            return locks
        found = (taken, by)
    raise _in_use(found, where)


def _in_use(found: "tuple[layer.Layer, str]", where: str) -> SpecError:
    return refusal.of("OVL-OPT-13", where, role=found[0].role, path=found[0].path, other=found[1])


def _keep(path: str, begin: int, unmounted: int, held: list[int]) -> "NoReturn":
    try:
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        kept = sorted({0, 1, 2, begin, unmounted, *held})
        for file in kept[:3]:
            os.dup2(null, file)
        for file, following in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(file + 1, following)
        if os.read(begin, 1):
            watch.wait(unmounted)
        _remove(path)
    finally:
        os._exit(0)


def _remove(path: str) -> None:
    """Remove a workdir. What the kernel made in it has mode 0, and may hold what a crash has left."""
    try:
        work = os.open(f"{path}/work", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        pass
    else:
        try:
            os.chmod(f"/proc/self/fd/{work}", 0o700)
        except OSError:  # somebody else's
            pass
        os.close(work)
    try:
        room.remove(path)
    except OSError:
        pass
