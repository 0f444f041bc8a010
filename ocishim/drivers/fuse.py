"""fuse-overlayfs: a FUSE mount in the private namespace, a server outside it that nobody has to end.

The server gets /dev/fuse as descriptor and runs in the namespace that ocishim came from. It does not see
the mount, so the mount ends with the container's namespaces, the connection with the mount, and the server
with the connection.
"""

import os

from .. import linux
from ..errors import HostError, MountError, SyscallError, words
from .kernel import MS_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..plan import Step

#: Seconds that a server has to answer the first request.
PATIENCE = 10.0


def find(program: str, path: str) -> str:
    """Find fuse-overlayfs: a path as it is, a name in PATH. Raises HostError if it is not there."""
    directories = [""] if "/" in program else [*path.split(":"), "/usr/bin", "/usr/local/bin", "/bin"]
    for directory in directories:
        candidate = f"{directory}/{program}" if directory else program
        if candidate[:1] == "/" and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise HostError(program, "not installed", "install fuse-overlayfs, or take --overlay kernel")


def mount(step: "Step", target: str, program: str, home: int, name: str, locks: list[int]) -> None:
    """Mount an overlay on `target`.

    `program` is fuse-overlayfs, `home` the mount namespace for its server, `name` the container's id for
    its command line. `locks` stay locked as long as the server runs. Raises MountError or HostError.
    """
    device = _open_device()
    try:
        _mount(step, target, device)
        layers = _Layers()
        errors, errors_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            argv = [program, "-f", "-o", f"fsname=ocishim:{name}", "-o", _options(step, layers)]
            argv.append(f"/dev/fd/{device}")
            inherited = [device, errors, *layers.files, *locks]
            _start(argv, inherited, errors_in, home)
            os.close(device)  # the server's copy alone keeps the connection up
            device = -1
            if not _answers(target):
                said = _said(errors) or f"no answer within {PATIENCE:.0f} s, or it died"
                raise MountError(f"fuse-overlayfs on {step.mount.destination}", said, "try --overlay kernel")
        finally:
            for file in (errors, errors_in, *layers.files):
                os.close(file)
    finally:
        if device >= 0:
            os.close(device)


class _Layers:
    """Names for layers that fuse-overlayfs reads right: before 1.15 it knows no escape of a colon."""

    __slots__ = ("files",)

    def __init__(self) -> None:
        self.files: list[int] = []

    def name(self, path: str) -> str:
        if not any(character in path for character in ':,\\"'):
            return path
        self.files.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{self.files[-1]}"


def _open_device() -> int:
    try:
        return os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        remedy = "modprobe fuse" if e.errno in (2, 19) else "let ocishim's user open /dev/fuse"
        raise HostError("/dev/fuse", words(e.errno or 0), remedy) from None


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


def _options(step: "Step", layers: _Layers) -> str:
    parts = ["lowerdir=" + ":".join(layers.name(path) for path in step.lower)]
    if step.upper:
        parts += [f"upperdir={layers.name(step.upper)}", f"workdir={layers.name(step.work)}"]
    return ",".join([*parts, *step.fuse])


def _start(argv: list[str], inherited: list[int], errors: int, home: int) -> None:
    """Start the server as a child of init, with nothing of the engine's: no pipe, no terminal."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _become_server(argv, inherited, errors, home)
    finally:
        os._exit(0)


def _become_server(argv: list[str], inherited: list[int], errors: int, home: int) -> "NoReturn":
    try:
        linux.setns(home, linux.CLONE_NEWNS)
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(errors, 2)
        for file in inherited:
            os.set_inheritable(file, True)
        kept = sorted((2, *inherited))
        for file, following in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(file + 1, following)
        os.execve(argv[0], argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except Exception as e:
        os.write(errors, f"{argv[0]}: {e}".encode())
    os._exit(1)


def _answers(target: str) -> bool:
    """Ask for the root of the mount: in a child, since the kernel lets only a fatal signal end the wait."""
    import select

    done, done_in = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.statvfs(target)
            os.listdir(target)
            status = 0
        finally:
            os._exit(status)
    os.close(done_in)
    ready, _, _ = select.select([done], [], [], PATIENCE)
    os.close(done)
    if not ready:
        os.kill(child, 9)
    return os.waitpid(child, 0)[1] == 0


def _said(errors: int) -> str:
    try:
        text = os.read(errors, 4096).decode(errors="replace")
    except BlockingIOError:
        return ""
    return "; ".join(text.split("\n")).strip("; ")
