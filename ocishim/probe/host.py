"""Facts about this host: what it says of itself and what was tried (trial.py), not judged."""

import os
from dataclasses import replace  # noqa: TID253 - nothing hot loads this

from .. import __version__, initial, runtime
from ..drivers.fuse import find
from ..errors import HostError, ShimError
from ..idmap import User
from . import kmsg, programs, subordinate
from .denied import SWITCHES
from .facts import Facts, Fuse, Kernel, Overlay, Process, Runtime, UserNamespaces, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings import Settings

#: What making overlays and containers needs (capabilities(7)).
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_SETGID",
    "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SETFCAP",
)  # fmt: skip
#: The switches that forbid an unprivileged user namespace; a kernel has some of them.
SYSCTLS = tuple(name for name, _, _ in SWITCHES)
#: Modes of seccomp(2), by the number that /proc/self/status gives.
SECCOMP = ("off", "strict", "filter")


def look(
    settings: "Settings",
    environ: "Mapping[bytes, bytes]",
    called_by: str,
    show: "Callable[[str], None]" = lambda _: None,
) -> Facts:
    """Look at this host, and try in a private mount namespace what can only be known by trying.

    `show` gets what is being done. Nothing stays but the kernel's log lines of what was refused, and a module
    that a mount loads.
    """
    from . import trial

    filesystems = _read("/proc/filesystems").split()
    try:
        program = find(settings.fuse_overlayfs, environ.get(b"PATH", b"").decode("utf-8", "surrogateescape"))
    except HostError:
        program = ""
    found = [_runtime(name, settings, environ, called_by) for name in settings.runtimes]
    show("asking fuse-overlayfs and the runtimes who they are")
    asked = [(each.path, word) for each in found if each.path for word in ("--version", "features")]
    said = programs.ask([*([(program, "--version")] if program else []), *asked])
    by_uid_map = _read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]
    tried = trial.run(is_initial=by_uid_map, program=program, show=show)
    user = subordinate.look() if os.geteuid() else User(0, 0)
    uname = os.uname()
    return Facts(
        __version__,
        Kernel(uname.release, uname.machine, tried.new_mount_api, kmsg.is_gvisor()),
        _process(),
        Overlay(
            "overlay" in filesystems,
            _module("overlay", uname.release),
            _parameters("overlay"),
            tried.tried,
            tried.options,
            tried.idmapped,
        ),
        tried.trials,
        UserNamespaces(
            os.path.exists("/proc/self/ns/user") and initial.is_here(),
            by_uid_map,
            tried.trusted_xattr,
            {name: int(value) for name in SYSCTLS if (value := _sysctl(name))},
            tried.tried_as,
            tried.make,
            tried.user_xattr,
            sum(count for _, count in user.subuids),
            user.without,
        ),
        Fuse(
            "fuse" in filesystems,
            _module("fuse", uname.release),
            _open_error("/dev/fuse"),
            tried.fuse,
            program,
            programs.version(said.get((program, "--version"), "")),
            tried.served,
            tried.operations,
        ),
        tuple(_told(each, said) for each in found),
    )


def _runtime(name: str, settings: "Settings", environ: "Mapping[bytes, bytes]", called_by: str) -> Runtime:
    try:
        found = runtime.find(name, called_by, settings, environ)
    except ShimError as e:
        return Runtime(name, "", "", "", e.why, (), ())
    return Runtime(name, found.path, found.kind, "", "", (), ())


def _told(runtime: Runtime, said: "Mapping[tuple[str, str], str]") -> Runtime:
    version = programs.version(said.get((runtime.path, "--version"), ""))
    oci, mount_options = programs.features(said.get((runtime.path, "features"), ""))
    return replace(runtime, version=version, oci=oci, mount_options=mount_options)


def _process() -> Process:
    import prctl  # type: ignore[import-untyped]  # it has no types

    # Not by prctl(2): in seccomp's strict mode the question kills.
    status = dict(line.split(":\t", 1) for line in _read("/proc/self/status").splitlines() if ":\t" in line)
    mode = int(status.get("Seccomp", "-1"))
    return Process(
        os.geteuid(),
        tuple(
            name for name in CAPABILITIES if getattr(prctl.cap_effective, name.removeprefix("CAP_").lower())
        ),
        bool(prctl.get_no_new_privs()),
        SECCOMP[mode] if 0 <= mode < len(SECCOMP) else "",
    )


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
