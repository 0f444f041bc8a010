"""Facts about this host: what it says of itself and what was tried (trial.py), not judged."""

import os

from .. import __version__, runtime
from ..drivers.fuse import find
from ..errors import HostError, ShimError
from .facts import Facts, Fuse, Kernel, Overlay, Process, Runtime, UserNamespaces, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings import Settings

#: Bits of CapEff that making overlays and containers needs, by number (capabilities(7)).
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_FOWNER": 3,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
    "CAP_SETFCAP": 31,
}
#: The switches that forbid an unprivileged user namespace; a kernel has some of them.
SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "kernel.apparmor_restrict_unprivileged_userns",
)
#: PROC_USER_INIT_INO (include/linux/proc_ns.h): the inode of the initial user namespace.
_INITIAL = 0xEFFFFFFD
#: Seconds for all the external commands, which run at the same time.
PATIENCE = 1.0


def look(settings: "Settings", environ: "Mapping[bytes, bytes]", called_by: str) -> Facts:
    """Look at this host, and try in a private mount namespace what can only be known by trying.

    Nothing stays but the kernel's log lines of what was refused, and a module that a mount loads.
    """
    from . import trial

    filesystems = _read("/proc/filesystems").split()
    try:
        program = find(settings.fuse_overlayfs, environ.get(b"PATH", b"").decode("utf-8", "surrogateescape"))
    except HostError:
        program = ""
    found = [_runtime(name, settings, environ, called_by) for name in settings.runtimes]
    said = versions([path for path in (program, *(each.path for each in found)) if path])
    by_uid_map = _read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]
    tried = trial.run(is_initial=by_uid_map)
    uname = os.uname()
    return Facts(
        __version__,
        Kernel(uname.release, uname.machine, tried.new_mount_api),
        Process(os.geteuid(), _capabilities()),
        Overlay(
            "overlay" in filesystems,
            _module("overlay", uname.release),
            _parameters("overlay"),
            tried.tried,
            tried.options,
        ),
        tried.trials,
        UserNamespaces(
            os.path.exists("/proc/self/ns/user") and os.stat("/proc/self/ns/user").st_ino == _INITIAL,
            by_uid_map,
            tried.trusted_xattr,
            {name: int(value) for name in SYSCTLS if (value := _sysctl(name))},
            tried.tried_as,
            tried.make,
            tried.user_xattr,
        ),
        Fuse(
            "fuse" in filesystems,
            _module("fuse", uname.release),
            _open_error("/dev/fuse"),
            tried.fuse,
            program,
            said.get(program, ""),
        ),
        tuple(
            Runtime(each.name, each.path, each.kind, said.get(each.path, ""), each.problem) for each in found
        ),
    )


def versions(paths: list[str]) -> dict[str, str]:
    """Ask programs for their --version, all at the same time: its line, empty where none came in time."""
    import signal
    import subprocess
    import time

    end = time.monotonic() + PATIENCE
    started = {}
    for path in dict.fromkeys(paths):
        try:
            started[path] = subprocess.Popen(  # noqa: S603 - see above
                [path, "--version"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,  # a wrapper's children end with it
            )
        except OSError:
            continue
    found = {}
    for path, process in started.items():
        with process:
            try:
                out, _ = process.communicate(timeout=max(end - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                continue
        lines = [line.strip() for line in out.splitlines() if " version" in line]
        # The first line of fuse-overlayfs is about fusermount3.
        named = [line for line in lines if line.startswith("fuse-overlayfs")]
        found[path] = (named or lines or [""])[0][:80]
    return found


def _runtime(name: str, settings: "Settings", environ: "Mapping[bytes, bytes]", called_by: str) -> Runtime:
    try:
        found = runtime.find(name, called_by, settings, environ)
    except ShimError as e:
        return Runtime(name, "", "", "", e.why)
    return Runtime(name, found.path, found.kind, "", "")


def _capabilities() -> tuple[str, ...]:
    lines = _read("/proc/self/status").splitlines()
    bits = next((int(line.split()[1], 16) for line in lines if line[:7] == "CapEff:"), 0)
    return tuple(name for name, bit in CAPABILITIES.items() if bits >> bit & 1)


def _module(name: str, release: str) -> str:
    """Find a module on disk: its file, or modules.builtin where it is part of the kernel."""
    directory = f"/lib/modules/{release}"
    for index, mark in (("modules.builtin", "\n"), ("modules.dep", ":")):
        for line in _read(f"{directory}/{index}").splitlines():
            path = line.partition(mark)[0]
            if path.rpartition("/")[2].startswith(f"{name}.ko"):
                return f"{directory}/{path if index == 'modules.dep' else index}"
    return ""


def _parameters(module: str) -> dict[str, str]:
    directory = f"/sys/module/{module}/parameters"
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    return {name: _read(f"{directory}/{name}").strip() for name in names}


def _sysctl(name: str) -> str:
    return _read(f"/proc/sys/{name.replace('.', '/')}").strip()


def _open_error(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as e:
        return errno_name(e)
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
