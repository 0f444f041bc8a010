"""User namespaces: made with id maps, or joined; this process is root in them afterwards."""

import os

from . import linux
from .errors import SyscallError, words
from .idmap import lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .idmap import Range

_NS_GET_PARENT = 0xB702  # ioctl_ns(2)
_NS_GET_NSTYPE = 0xB703


def make(uids: "Sequence[Range]", gids: "Sequence[Range]") -> None:
    """Enter a new user namespace with these maps, as its root if they have one.

    A map of more than one's own id is written by newuidmap(1) and newgidmap(1), from outside. Raises
    HostError if the namespace or its maps may not be made.
    """
    me, uid = _me(), os.geteuid()
    by_helper = [
        (program, ranges)
        for program, ranges in (("newuidmap", uids), ("newgidmap", gids))
        if not _is_one(ranges)
    ]
    helper = _Helper(me, by_helper) if by_helper else None
    try:
        linux.unshare(linux.CLONE_NEWUSER)
    except SyscallError as e:
        if helper:
            helper.end()
        from .probe import denied

        raise denied.explain(e.errno or 0, uid) from None
    why = helper.go() if helper else ""
    if why:
        from .probe import denied

        raise denied.explain_map(why)
    try:
        if _is_one(uids):
            _write("/proc/self/uid_map", lines(uids))
        if _is_one(gids):
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/gid_map", lines(gids))
    except OSError as e:
        from .probe import denied

        raise denied.explain(e.errno or 0, uid) from None
    if any(inside == 0 for inside, _, _ in uids):
        _become_root()


def join(namespace: int) -> None:
    """Join a user namespace by a descriptor, as its root. Raises SyscallError."""
    linux.setns(namespace, linux.CLONE_NEWUSER)
    _become_root()


def why_not(namespace: int) -> str:
    """Say why a file, by its descriptor, is nothing to join, "" if it may be: setns(2) says EINVAL to all."""
    import fcntl

    try:
        kind = fcntl.ioctl(namespace, _NS_GET_NSTYPE)
    except OSError:
        kind = 0
    if kind != linux.CLONE_NEWUSER:
        return "is no user namespace"
    is_mine = os.fstat(namespace).st_ino == os.stat("/proc/self/ns/user").st_ino
    return "is the one that this process is in" if is_mine else ""


def below_mine(namespace: int) -> int:
    """Give the ancestor of a user namespace that is a child of mine, as a new descriptor, -1 if none is."""
    import fcntl

    mine = os.stat("/proc/self/ns/user").st_ino
    at = os.dup(namespace)
    while True:
        try:
            parent = fcntl.ioctl(at, _NS_GET_PARENT)
        except OSError:  # EPERM: the initial one, or one outside of mine
            os.close(at)
            return -1
        if os.fstat(parent).st_ino == mine:
            os.close(parent)
            return at
        os.close(at)
        at = parent


def _me() -> int:
    """Give this process's number as /proc has it, where newuidmap looks."""
    try:
        return int(os.readlink("/proc/self"))
    except OSError:
        return os.getpid()


def _is_one(ranges: "Sequence[Range]") -> bool:
    return len(ranges) == 1 and ranges[0][2] == 1


def _become_root() -> None:
    """Take id 0, where it is not one's own already: the namespace may map another user to it."""
    if os.getegid():
        os.setresgid(0, 0, 0)
    if os.geteuid():
        os.setresuid(0, 0, 0)


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


class _Helper:
    """A child that stays outside, and maps the ids of the namespace that its parent makes meanwhile."""

    __slots__ = ("child", "errors", "start")

    def __init__(self, target: int, maps: "Sequence[tuple[str, Sequence[Range]]]") -> None:
        start, self.start = os.pipe2(os.O_CLOEXEC)
        self.errors, errors = os.pipe2(os.O_CLOEXEC)
        self.child = os.fork()
        if self.child:
            os.close(start)
            os.close(errors)
            return
        status = 1
        try:
            os.close(self.start)
            if os.read(start, 1):
                status = _map(target, maps, errors)
        finally:
            os._exit(status)

    def go(self) -> str:
        """Let the child map; say what went wrong, "" if nothing did."""
        try:
            os.write(self.start, b".")
        except BrokenPipeError:  # somebody has ended the child; its status tells
            pass
        said = b""
        os.close(self.start)
        while chunk := os.read(self.errors, 4096):
            said += chunk
        os.close(self.errors)
        status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        text = "; ".join(said.decode(errors="replace").split("\n")).strip("; ")
        if not text and status < 0:
            text = f"the process that maps its ids was killed by signal {-status}"
        return (text or f"exit status {status}") if status else ""

    def end(self) -> None:
        """Let the child end without having done anything."""
        os.close(self.start)
        os.close(self.errors)
        os.waitpid(self.child, 0)


def _map(target: int, maps: "Sequence[tuple[str, Sequence[Range]]]", errors: int) -> int:
    from .probe.subordinate import find

    for name, ranges in maps:
        program = find(name)
        argv = [program, str(target), *lines(ranges).split()]
        try:
            child = os.posix_spawn(program, argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, errors, 2)])
        except OSError as e:
            os.write(errors, f"{name}: {words(e.errno or 0)}".encode())
            return 1
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            os.write(errors, f"{name}: killed by signal {-status}".encode())
        if status:
            return 1
    return 0
