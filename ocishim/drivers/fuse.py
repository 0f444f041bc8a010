"""fuse-overlayfs: a FUSE mount in the private namespace, a server outside it that nobody has to end.

The server gets /dev/fuse as descriptor and runs in the namespace that ocishim came from. It does not see
the mount, so the mount ends with the container's namespaces, the connection with the mount, and the server
with the connection.
"""

import os
from errno import ECONNABORTED, ENOTCONN, EPERM

from .. import linux, patience
from ..errors import HostError, MountError, SyscallError, words
from ..namespaces import STAGE, detach
from .kernel import MS_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from ..candidate import Candidate
    from ..step import Step

#: Seconds that a server has to answer the first request.
PATIENCE = 10.0
#: execve(2) takes no word of more than 128 KiB; the options are one.
LONGEST_LIST = 100_000
#: What fuse-overlayfs says of an option that it then goes without.
_IGNORED = "unknown argument ignored: "


def find(program: str, path: str) -> str:
    """Find fuse-overlayfs: a path as it is, a name in PATH. Raises HostError if it is not there."""
    directories = [""] if "/" in program else [*path.split(":"), "/usr/bin", "/usr/local/bin", "/bin"]
    for directory in directories:
        candidate = f"{directory}/{program}" if directory else program
        if candidate[:1] == "/" and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    from .. import refusal

    raise refusal.host("OVL-FUS-04", program=program)


class Server:
    """What a fuse-overlayfs is started with.

    `program` is its path, `home` the mount namespace for it, `name` the container's id for its command line.
    `locks` stay locked as long as it runs, `limit` is its time in seconds, 0 for any.
    """

    __slots__ = ("home", "limit", "locks", "name", "program")

    def __init__(self, program: str, home: int, name: str, locks: "Sequence[int]", limit: int = 0) -> None:
        self.program = program
        self.home = home
        self.name = name
        self.locks = locks
        self.limit = limit


def mount(step: "Step", by: "Candidate", target: str, server: Server) -> None:
    """Mount an overlay on `target`, with the options of `by`. Raises MountError or HostError."""
    device = _open_device()
    try:
        _mount(step, target, device)
        layers = _Layers(step)
        errors, errors_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            argv = [server.program, "-f", "-o", f"fsname=ocishim:{_plain(server.name)}"]
            argv += ["-o", _options(step, by, layers), f"/dev/fd/{device}"]
            inherited = [device, errors, *layers.files, *server.locks]
            # An upper layer in the stage is seen in the private namespace only.
            is_hidden = step.upper != "" and os.path.realpath(step.upper).startswith(f"{STAGE}/")
            group = _start(argv, inherited, errors_in, server, target if is_hidden else "")
            os.close(device)  # the server's copy alone keeps the connection up
            device = -1
            why = _ask(target, group)
            said, ignored = _said(errors)
            unknown = [option for option in by.words if option in ignored]
            if unknown and not why:
                detach(target)
                why = said = f"this release does not know {', '.join(unknown)}"
            if why:
                _kill(group)
                raise MountError(
                    f"fuse-overlayfs on {step.mount.destination}", said or why, "try --overlay kernel"
                )
        finally:
            for file in (errors, errors_in, *layers.files):
                os.close(file)
    finally:
        if device >= 0:
            os.close(device)


class _Layers:
    """Names for layers that fuse-overlayfs reads right: before 1.15 it knows no escape of a colon."""

    __slots__ = ("are_long", "files")

    def __init__(self, step: "Step") -> None:
        self.files: list[int] = []
        self.are_long = sum(len(os.fsencode(path)) + 1 for path in step.lower) > LONGEST_LIST

    def name(self, path: str) -> str:
        is_ours = path.startswith("/proc/self/fd/")  # a descriptor that the server has not
        if not is_ours and not self.are_long and not any(character in path for character in ':,\\"'):
            return path
        self.files.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{self.files[-1]}"


def _open_device() -> int:
    try:
        return os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        from .. import refusal

        remedy = "modprobe fuse" if e.errno in (2, 19) else "let ocishim's user open /dev/fuse"
        raise refusal.host("OVL-FUS-01", remedy, path="/dev/fuse", errno=words(e.errno or 0)) from None


def _mount(step: "Step", target: str, device: int) -> None:
    flags = linux.MS_RDONLY if step.mount.read_only else 0
    for flag in step.mount.flags:
        flags |= MS_FLAGS[flag]
    data = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    data += ",default_permissions,allow_other"
    data += "".join(f',{name}="{value}"' for name, value in step.mount.lsm.items())
    try:
        linux.mount("fuse-overlayfs", target, "fuse.fuse-overlayfs", flags, data)
    except SyscallError as e:
        raise MountError(
            f"mount fuse-overlayfs on {step.mount.destination}",
            str(e),
            "try --overlay kernel",
            errno=e.errno or 0,
        ) from None


def _options(step: "Step", by: "Candidate", layers: _Layers) -> str:
    parts = ["lowerdir=" + ":".join(layers.name(path) for path in step.lower)]
    if step.upper:
        parts += [f"upperdir={layers.name(step.upper)}", f"workdir={layers.name(step.work)}"]
    return ",".join([*parts, *by.words])


def _start(argv: list[str], inherited: list[int], errors: int, server: Server, covered: str) -> int:
    """Start the server as a child of init, with nothing of the engine's: no pipe, no terminal.

    `covered` is where the mount is if the server stays with what the private namespace has, else "".
    Gives its process group.
    """
    child = patience.fork()
    if child:
        os.waitpid(child, 0)
        return child
    try:
        os.setsid()
        if patience.fork() == 0:
            _become_server(argv, inherited, errors, server, covered)
    except HostError as e:
        os.write(errors, str(e).encode(errors="replace"))
    finally:
        os._exit(0)


def _become_server(
    argv: list[str], inherited: list[int], errors: int, server: Server, covered: str
) -> "NoReturn":
    try:
        _leave_private(server.home, covered)
        if os.geteuid():  # in a user namespace without root; what it serves may be open to nobody
            from .. import capabilities

            capabilities.keep()
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(errors, 2)
        errors = 2  # the other is closed now
        for file in inherited:
            os.set_inheritable(file, True)
        kept = sorted((2, *inherited))
        for file, following in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(file + 1, following)
        if server.limit:
            import _signal  # type: ignore[import-not-found]  # signal itself costs 3 ms

            _signal.alarm(server.limit)  # it outlives execve
        os.execve(argv[0], argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError as e:
        why = str(e) if isinstance(e, SyscallError) else words(e.errno or 0)
        os.write(errors, f"{argv[0]}: {why}".encode(errors="replace"))
    os._exit(1)


def _leave_private(home: int, covered: str) -> None:
    """Go where the mount is not seen: to the namespace that ocishim came from.

    Without rights over that one, into a copy of the private one from which the stage is unmounted with all
    that is mounted there, or only what is mounted on `covered`.
    """
    if covered:
        linux.unshare(linux.CLONE_NEWNS)
        linux.umount(covered)
        return
    try:
        linux.setns(home, linux.CLONE_NEWNS)
    except SyscallError as e:
        if e.errno != EPERM:
            raise
        linux.unshare(linux.CLONE_NEWNS)
        linux.umount(STAGE)


def _ask(target: str, group: int) -> str:
    """Ask for the root of the mount; say what is wrong if no answer comes, and the mount is gone then.

    A child asks. Once the server has read the question not even SIGKILL ends the wait for its answer, only
    the end of the connection does.
    """
    import select

    done, done_in = os.pipe2(os.O_CLOEXEC)
    try:
        child = patience.fork()
    except HostError:
        _kill(group)
        detach(target)
        raise
    if child == 0:
        status = 255
        try:
            os.statvfs(target)
            os.listdir(target)
            status = 0
        except OSError as e:
            status = e.errno or status
        finally:
            os._exit(status)
    os.close(done_in)
    ready, _, _ = select.select([done], [], [], PATIENCE)
    os.close(done)
    if not ready:
        _kill(group)
        detach(target)
        os.waitpid(child, 0)
        return f"no answer within {PATIENCE:.3g} s"
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status in (ENOTCONN, ECONNABORTED):
        return "the server ended before it answered"
    return words(status) if status > 0 else "nobody asked it: killed" if status else ""


def _kill(group: int) -> None:
    try:
        os.killpg(group, 9)
    except ProcessLookupError:
        pass


def _said(errors: int) -> tuple[str, list[str]]:
    """Give what the server complained about, in one line, and which options it did not know."""
    try:
        lines = os.read(errors, 4096).decode(errors="replace").split("\n")
    except BlockingIOError:
        return "", []
    ignored = [line.removeprefix(_IGNORED) for line in lines if line.startswith(_IGNORED)]
    return "; ".join(line for line in lines if line and not line.startswith(_IGNORED)), ignored


def _plain(name: str) -> str:
    """Give a container's id without what would end the option: runtimes judge it later than this."""
    return name.replace("\\", "_").replace(",", "_")
