"""The low-level runtime: which one, where it is, and becoming it."""

import posix

from .errors import UsageError
from .settings import KINDS, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from .settings import Settings

#: Where a runtime is besides PATH: engines start their runtimes with whatever PATH they have.
_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class LowLevelRuntime:
    """The runtime that is about to be exec'ed: its path, its kind, and its settings."""

    __slots__ = ("kind", "path", "settings")

    def __init__(self, path: str, kind: str, settings: Runtime) -> None:
        self.path = path
        self.kind = kind
        self.settings = settings


def find(
    asked: str, called_by: str, settings: "Settings", environ: "Mapping[bytes, bytes]"
) -> LowLevelRuntime:
    """Find the runtime: --runtime, OCISHIM_RUNTIME, the name ocishim was called by, the settings.

    `called_by` is ocishim's own argv[0]. Raises UsageError if there is none, or if it is ocishim.
    """
    me = _identity(called_by)
    where = "--runtime"
    if not asked:
        where = "OCISHIM_RUNTIME"
        asked = environ.get(b"OCISHIM_RUNTIME", b"").decode("utf-8", "surrogateescape")
    if not asked:
        name = called_by.rpartition("/")[2]
        where = f"called as {name}"
        asked = name.removeprefix("ocishim-") if name.startswith("ocishim-") else ""
    if asked:
        return _named(where, asked, settings, environ, me)
    for name, runtime in settings.runtimes.items():
        path = runtime.path if _usable(runtime.path, me) else ""
        if not runtime.path:
            path = _search(name, environ, me)
        if path:
            return LowLevelRuntime(path, runtime.kind or _kind(name, path), runtime)
    raise UsageError(
        "low-level runtime",
        f"none of {', '.join(settings.runtimes)} is installed",
        "install one, or name one with --runtime",
        "OVL-RUN-09",
    )


def exec_(runtime: LowLevelRuntime, words: list[str], environ: "Mapping[bytes, bytes]") -> "NoReturn":
    """Become the runtime: same process, same descriptors, same directory, same environment."""
    try:
        become(runtime.path, [runtime.path, *runtime.settings.args, *words], environ)
    except OSError as e:
        from .errors import words as say

        why = {2: "the interpreter in its first line does not exist", 8: "not an executable"}
        raise UsageError(
            f"exec {runtime.path}",
            why.get(e.errno or 0) or say(e.errno or 0),
            "name a runtime that is installed here with --runtime",
        ) from None


def become(path: str, argv: list[str], environ: "Mapping[bytes, bytes]") -> "NoReturn":
    """Become a program, as if the caller had started it and not Python. Raises OSError."""
    import _signal  # type: ignore[import-not-found]  # signal's C half; signal itself costs 3 ms

    # Python ignores these two from its start on; a runtime, and the container's process, should not.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    posix.execve(path, argv, _as_given(environ))


def _named(
    where: str,
    asked: str,
    settings: "Settings",
    environ: "Mapping[bytes, bytes]",
    me: tuple[int, int],
) -> LowLevelRuntime:
    name = asked.rpartition("/")[2]
    runtime = settings.runtimes.get(name) or Runtime()
    path = asked if "/" in asked else runtime.path
    if not path:
        path = _search(name, environ, me)
        if not path:
            raise UsageError(
                f"{where}: runtime {asked}",
                "not installed: neither in PATH nor in " + ", ".join(_DIRECTORIES),
                "install it, or give its path",
                "OVL-RUN-09",
            )
    if _identity(path) == me:
        remedy = "name runc, crun or runsc"
        raise UsageError(f"{where}: runtime {path}", "this is ocishim itself", remedy, "OVL-RUN-09")
    if not _usable(path, me):
        remedy = "give the path of a runtime"
        raise UsageError(f"{where}: runtime {path}", _why_not(path), remedy, "OVL-RUN-09")
    return LowLevelRuntime(path, runtime.kind or _kind(name, path), runtime)


def _search(name: str, environ: "Mapping[bytes, bytes]", me: tuple[int, int]) -> str:
    path = environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
    for directory in (*path.split(":"), *_DIRECTORIES):
        if directory[:1] == "/" and _usable(f"{directory}/{name}", me):
            return f"{directory}/{name}"
    return ""


def _usable(path: str, me: tuple[int, int]) -> bool:
    try:
        found = posix.stat(path)
    except (OSError, ValueError):
        return False
    return (
        found.st_mode & 0o170000 == 0o100000
        and (found.st_dev, found.st_ino) != me
        and posix.access(path, posix.X_OK)
    )


def _why_not(path: str) -> str:
    from .errors import words

    try:
        found = posix.stat(path)
    except (OSError, ValueError) as e:
        return words(getattr(e, "errno", 2))
    if found.st_mode & 0o170000 != 0o100000:
        return "not a regular file"
    return f"not executable (mode {found.st_mode & 0o7777:04o})"


def _identity(path: str) -> tuple[int, int]:
    try:
        found = posix.stat(path)
    except (OSError, ValueError):
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _kind(name: str, path: str) -> str:
    """Tell what a runtime is by its name: `runsc`, `/opt/bin/runsc-debug`, `crun-1.28`."""
    for base in (name, path.rpartition("/")[2]):
        for kind in ("runsc", "crun", "runc"):
            if kind in base:
                return kind
    return KINDS[0]


def _as_given(environ: "Mapping[bytes, bytes]") -> "Mapping[bytes, bytes]":
    """Give the environment as the caller made it: Python sets LC_CTYPE in the C locale (PEP 538)."""
    if environ.get(b"LC_CTYPE") not in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        return environ
    try:
        file = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return environ
    initial = b""
    while chunk := posix.read(file, 65536):
        initial += chunk
    posix.close(file)
    given = {key: value for key, value in environ.items() if key != b"LC_CTYPE"}
    for word in initial.split(b"\0"):
        if word.startswith(b"LC_CTYPE="):
            given[b"LC_CTYPE"] = word.partition(b"=")[2]
    return given
