"""What the administrator set: /etc/ocishim/config.toml or OCISHIM_CONFIG, read, checked and typed."""

import posix

from . import initial
from .errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/etc/ocishim/config.toml"
MODES = ("auto", "kernel", "fuse")
KINDS = ("runc", "crun", "runsc")


class Runtime:
    """One `[runtimes.NAME]`: where it is, what is always added to its command line, what it is."""

    __slots__ = ("args", "exclusive", "kind", "path")

    def __init__(
        self, path: str = "", args: tuple[str, ...] = (), kind: str = "", exclusive: bool = False
    ) -> None:
        self.path = path
        self.args = args
        self.kind = kind
        self.exclusive = exclusive


class Settings:
    """The settings; `runtimes` in the order of the file, which is the order of preference."""

    __slots__ = ("fuse_overlayfs", "overlay", "runtimes", "trial_cache")

    def __init__(
        self,
        overlay: str = "auto",
        fuse_overlayfs: str = "fuse-overlayfs",
        runtimes: "Mapping[str, Runtime] | None" = None,
    ) -> None:
        self.overlay = overlay
        self.fuse_overlayfs = fuse_overlayfs
        #: The directory where trials that went well are noted, "" for nowhere, None for the usual one.
        self.trial_cache: str | None = None
        self.runtimes = runtimes or {"runc": Runtime(), "crun": Runtime(), "runsc": Runtime()}


def load(environ: "Mapping[bytes, bytes]") -> Settings:
    """Read the settings file, if there is one; raise HostError if it may not be trusted or is wrong."""
    named = environ.get(b"OCISHIM_CONFIG", b"").decode("utf-8", "surrogateescape")
    path = named or PATH
    try:
        file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except FileNotFoundError:
        if named:
            raise HostError(f"settings {path}", "does not exist", "correct or unset OCISHIM_CONFIG") from None
        settings = Settings()
    except OSError as e:
        from .errors import words

        raise HostError(f"settings {path}", words(e.errno or 0), "make it readable") from None
    else:
        try:
            _check_trust(path, file)
            settings = parse(_read(path, file), path)
        finally:
            posix.close(file)
    mode = environ.get(b"OCISHIM_OVERLAY", b"").decode("utf-8", "surrogateescape")
    if mode:
        settings.overlay = _one_of("OCISHIM_OVERLAY", mode, MODES)
    return settings


def parse(text: str, path: str) -> Settings:
    """Turn the text of the file into settings; `path` is for the messages. Raises HostError."""
    from . import tomltext

    try:
        data = tomltext.loads(text)
    except ValueError as e:
        raise HostError(f"settings {path}", f"not TOML: {e}", "correct it there") from None
    _check_keys(path, data, ("overlay", "fuse_overlayfs", "trial_cache", "runtimes"))
    settings = Settings()
    if "overlay" in data:
        settings.overlay = _one_of(f"{path}: overlay", data["overlay"], MODES)
    if "fuse_overlayfs" in data:
        settings.fuse_overlayfs = _text(f"{path}: fuse_overlayfs", data["fuse_overlayfs"])
    if "trial_cache" in data:
        directory = data["trial_cache"]
        if directory != "" and _text(f"{path}: trial_cache", directory)[:1] != "/":
            raise HostError(f"{path}: trial_cache", f'"{directory}" is relative', "write the whole path")
        settings.trial_cache = str(directory)
    if "runtimes" in data:
        runtimes = _table(f"{path}: runtimes", data["runtimes"])
        if runtimes:
            settings.runtimes = {
                name: _runtime(f"{path}: runtimes.{name}", table) for name, table in runtimes.items()
            }
    return settings


def _runtime(where: str, value: object) -> Runtime:
    table = _table(where, value)
    _check_keys(where, table, ("path", "args", "kind", "exclusive"))
    runtime = Runtime()
    if "path" in table:
        runtime.path = _text(f"{where}.path", table["path"])
        if runtime.path[0] != "/":
            raise HostError(f"{where}.path", f'"{runtime.path}" is relative', "write the whole path")
    if "args" in table:
        args = table["args"]
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            raise HostError(f"{where}.args", f"{_show(args)} is not an array of strings", 'e.g. ["-x"]')
        if any("\0" in arg for arg in args):
            raise HostError(f"{where}.args", "NUL in it", "no argument of a program can hold it")
        runtime.args = tuple(args)
    if "kind" in table:
        runtime.kind = _one_of(f"{where}.kind", table["kind"], KINDS)
    if "exclusive" in table:
        if not isinstance(table["exclusive"], bool):
            raise HostError(
                f"{where}.exclusive", f"{_show(table['exclusive'])} is not a boolean", "true or false"
            )
        runtime.exclusive = table["exclusive"]
    return runtime


def _check_keys(where: str, table: dict[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise HostError(where, f'unknown key "{key}"', f"known here: {', '.join(known)}")


def _table(where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise HostError(where, f"{_show(value)} is not a table", f"write [{where.split(': ')[-1]}]")
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise HostError(where, f"{_show(value)} is not a path", 'write "…"')
    return value


def _one_of(where: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise HostError(where, f"{_show(value)} is none of {', '.join(known)}", f"write {known[0]}")
    return value


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _read(path: str, file: int) -> str:
    data = b""
    while chunk := posix.read(file, 65536):
        data += chunk
        if len(data) > 1 << 20:
            raise HostError(f"settings {path}", "larger than 1 MiB", "this is not a settings file")
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise HostError(f"settings {path}", f"not UTF-8 at byte {e.start}", "correct it") from None


def _check_trust(path: str, file: int) -> None:
    """Refuse settings that someone else may write: as root they choose what root executes."""
    found = posix.fstat(file)
    if found.st_mode & 0o170000 != 0o100000:
        raise HostError(f"settings {path}", "not a regular file", "name a file")
    me = posix.geteuid()
    if me != 0:
        return
    _check_owner(path, path, found, me)
    parent = posix.readlink(f"/proc/self/fd/{file}")  # where it is, not by which links it was reached
    while parent != "/":
        parent = parent.rstrip("/").rpartition("/")[0] or "/"
        _check_owner(path, parent, posix.stat(parent), me)


def _check_owner(path: str, what: str, found: posix.stat_result, me: int) -> None:
    on = f"settings {path}" if what == path else f"settings {path}: directory {what}"
    sticky_directory = found.st_mode & 0o41000 == 0o41000
    if found.st_uid not in (0, me) and not _is_unmapped(found.st_uid):
        raise HostError(on, f"owned by uid {found.st_uid}, who may change it", f"chown root {what}")
    if found.st_mode & 0o022 and not sticky_directory:
        mode = found.st_mode & 0o7777
        raise HostError(on, f"others may write it (mode {mode:04o})", f"chmod go-w {what}")


def _is_unmapped(uid: int) -> bool:
    """Tell whether an owner cannot be seen from this user namespace: the host's root looks like nobody there.

    Root of such a namespace has no more rights than the user who made it, for whom nothing is checked either.
    """
    return uid == 65534 and not initial.is_here()
