"""Who has an upperdir or workdir in an overlay already: locks held while one is being mounted, and a search.

The kernel refuses a second user only with index=on; otherwise it logs a warning, and both corrupt the layer.
A mount is visible in /proc/PID/mountinfo of every process in its namespace, a FUSE overlay by the command
line of its server, and both for exactly as long as they exist: nothing needs to be written down.
"""

import fcntl
import os

from ..argv import MAKES_CONTAINER
from ..argv import parse as parse_argv
from ..mountinfo import parse
from ..settings import KINDS
from .layer import Layer
from .same import reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long to wait for another ocishim that is mounting the same directory right now, in seconds.
PATIENCE = 10.0
#: How long to look again: a FUSE server goes a moment after its container.
LINGER = 0.3


def lock(layers: list[Layer]) -> tuple[list[int], Layer | None, str]:
    """Take upper and work directories for overlays that are about to be mounted.

    Gives descriptors that keep others out until they are closed, at exec at the latest, and, if one of the
    directories stays locked, which one and by whom. A file system without locks is no error: there two
    simultaneous starts are not told apart.
    """
    import time

    begin = time.monotonic()
    files: list[int] = []
    for layer in sorted(layers, key=_key):
        files.append(reopen(layer, os.O_RDONLY))
        # A FUSE server holds the lock for good, an ocishim that mounts for a moment.
        while not _flock(files[-1]):
            waited = time.monotonic() - begin
            found = server(layers) if waited > LINGER else None
            if found:
                return files, *found
            if waited > PATIENCE:
                return files, layer, _locker(layer)
            time.sleep(0.02)
    return files, None, ""


def is_locked(layer: Layer) -> bool:
    """Tell whether somebody has a directory locked at this moment."""
    file = os.open(layer.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return not _flock(file)
    finally:
        os.close(file)


def search(layers: list[Layer]) -> "Iterator[tuple[Layer, str]]":
    """Find mount namespaces whose overlays write to one of these directories; name the container.

    A path that a namespace shows is looked up in this one: an unprivileged user can show any path, so a
    finding is a question for the kernel (busy.is_busy). A relative one of another namespace names nobody, so
    it comes last.
    """
    wanted = {_key(layer): layer for layer in layers}
    seen = set()
    nameless = []
    for pid in _pids():
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace in seen:
                continue
            seen.add(namespace)
            for found, on, path in _in_mounts(_read(f"/proc/{pid}/mountinfo"), wanted):
                if pid == str(os.getpid()):
                    yield found, f"the overlay on {on}"
                elif path[:1] == "/":
                    yield found, container_of(pid)
                else:
                    nameless.append((found, "another overlay"))
        except OSError:  # it ended, or it is not ours to look at
            continue
    yield from nameless


def server(layers: list[Layer]) -> tuple[Layer, str] | None:
    """Find the FUSE server that writes to one of these directories."""
    wanted = {_key(layer): layer for layer in layers}
    for pid in _pids():
        try:
            if os.stat(f"/proc/{pid}").st_uid not in (0, os.geteuid()):
                continue  # anybody can write a command line
            found = _in_server(pid, wanted)
            if found:
                return found, container_of(pid)
        except OSError:
            continue
    return None


def _locker(layer: Layer) -> str:
    """Name the process that has a directory locked (proc(5), /proc/locks)."""
    major, minor = os.major(layer.device), os.minor(layer.device)
    place = f"{major:02x}:{minor:02x}:{layer.inode}"
    for line in _read("/proc/locks").splitlines():
        fields = line.split()
        if fields[5:6] == [place] and fields[1] == "FLOCK":
            try:
                return f"{container_of(fields[4])}, which has it locked"
            except OSError:
                break
    return "another process, which has it locked"


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def container_of(pid: str) -> str:
    """Name the container that a process serves, or belongs to by its control group; else the process."""
    name = _read(f"/proc/{pid}/comm").strip()
    process = f"pid {pid} ({name})"
    served = _served(_read(f"/proc/{pid}/cmdline").split("\0")[:-1])
    if served:
        return f"container {served}, {process}"
    groups = _read(f"/proc/{pid}/cgroup")
    if groups == _read("/proc/self/cgroup"):
        return process
    for line in groups.splitlines():
        group = line.rpartition(":")[2].rpartition("/")[2]
        group = group.removesuffix(".scope")
        for prefix in ("crun-", "runc-", "libpod-", "docker-", "cri-containerd-", "crio-"):
            group = group.removeprefix(prefix)
        if group and not group.endswith((".slice", ".service")):
            return f"container {group}, {process}"
    return process


def _served(words: list[str]) -> str:
    """Read the container's id off the command line of a FUSE server, of a runtime or of ocishim."""
    for at, word in enumerate(words[:6]):
        if word.startswith("fsname=ocishim:"):
            return word.removeprefix("fsname=ocishim:").partition(",")[0]
        if any(kind in word.rpartition("/")[2] for kind in (*KINDS, "ocishim")):
            inv = parse_argv(words[at + 1 :])
            if inv.command in MAKES_CONTAINER and inv.id_at >= 0:
                return inv.words[inv.id_at]
    return ""


def _in_mounts(text: str, wanted: dict[tuple[int, int], Layer]) -> "Iterator[tuple[Layer, str, str]]":
    """Find overlays that have one of these directories; tell where they are mounted, and by which path."""
    if " - overlay " not in text:
        return
    # Only the lines that matter are taken apart: a namespace may have a hundred thousand.
    lines = [line for line in text.split("\n") if " - overlay " in line]
    for mount in parse("\n".join(lines)):
        if mount.fstype == "overlay":
            for role in ("upperdir", "workdir"):
                path = _real(mount.super_option(role))
                if path and (found := wanted.get(_identity(path))):
                    yield found, mount.mount_point, path


def _real(path: str | None) -> str | None:
    """Give the path that an idmapped clone in another ocishim's stage was made of (idmapped.Clones).

    None for a descriptor, which is not ours.
    """
    if not path or path.startswith("/proc/self/"):
        return None
    _, is_clone, behind = path.partition("/stage/idmapped/")
    return f"/{behind.partition('/')[2]}" if is_clone else path


def _in_server(pid: str, wanted: dict[tuple[int, int], Layer]) -> Layer | None:
    words = _read(f"/proc/{pid}/cmdline").split("\0")
    if "overlayfs" not in words[0]:
        return None
    for word in words:
        for option in word.split(","):
            role, _, path = option.partition("=")
            if role in ("upperdir", "workdir"):
                if path.startswith("/proc/self/"):
                    path = f"/proc/{pid}/{path.removeprefix('/proc/self/')}"
                elif path[:1] != "/":
                    path = f"/proc/{pid}/cwd/{path}"
                if found := wanted.get(_identity(path)):
                    return found
    return None


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (-1, -1)
    return (found.st_dev, found.st_ino)


def _key(layer: Layer) -> tuple[int, int]:
    return (layer.device, layer.inode)


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while chunk := os.read(file, 65536):
            data += chunk
    finally:
        os.close(file)
    return data.decode("utf-8", "surrogateescape")


def _flock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        pass
    return True
