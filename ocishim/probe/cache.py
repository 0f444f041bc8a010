"""Which trials went well on this machine since it was started.

A file of lines, each with all that a trial depends on: kernel, boot, user namespace, mounts and options of
the layers' file systems, the overlay's options. Only a success is noted, and only an equal line counts, so an
old or broken file does nothing but cost a trial.
"""

import os

from .. import __version__, filesystems, initial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..candidate import Candidate
    from ..step import Step
    from .here import Here

_LARGEST = 1 << 18


def key(step: "Step", by: "Candidate", here: "Here", server: str = "") -> str:
    """Give all that the trial of a step depends on, "" for one that is to be made each time.

    `server` tells which fuse-overlayfs it is.

    That is so where the kernel does not identify mounts, or the boot, where a server decides, and with
    index=on, which compares directories. In a user namespace, or with an id mapping, the owners of the very
    directories decide, too.
    """
    layers = [layer for layer in step.layers if layer.role != "upperdir"]
    if any(not layer.identity or layer.magic in filesystems.REMOTE for layer in layers):
        return ""
    if "on" in (by.options.get("index"), by.options.get("nfs_export")):
        return ""
    owners_decide = not here.is_initial or step.mount.idmap
    lowers = dict.fromkeys(
        f"{layer.identity} {layer.inode}" if owners_decide else layer.identity
        for layer in layers
        if layer.role != "workdir"
    )
    upper = "".join(layer.identity for layer in layers if layer.role == "workdir")
    boot = _boot()
    if not boot:
        return ""
    uname = os.uname()
    parts = [__version__, uname.release, uname.version, boot, _user_namespace(here), here.rights]
    parts += [by.backend, server, *by.words]
    flags = [*step.mount.flags, *step.mount.lsm, str(len(step.lower) > 1), str(len(step.data) > 0)]
    flags += step.mount.idmap.texts if step.mount.idmap else ()
    return "|".join([*parts, *flags, upper, *lowers]).replace("\n", " ")


def path_in(directory: str | None) -> str:
    """Give the file, "" for none; `directory` is that of the settings, None for the usual one."""
    if directory is None:
        is_root = os.geteuid() == 0 and initial.is_here()
        run = None if is_root else os.environ.get("XDG_RUNTIME_DIR")
        directory = f"{run or '/run'}/ocishim"
    return f"{directory}/trials" if directory else ""


def read(path: str) -> bytes:
    """Read what `has` looks into; nothing of a file that is not ours alone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        if not _is_ours(os.fstat(file)):
            return b""
        return b"\n" + os.read(file, _LARGEST)
    except OSError:
        return b""
    finally:
        os.close(file)


def has(noted: bytes, text: str) -> bool:
    """Tell whether a trial with this key went well."""
    return f"\n{text}\n".encode("utf-8", "surrogateescape") in noted


def note(path: str, text: str) -> None:
    """Note that a trial with this key went well. A cache that cannot be written is no error."""
    try:
        os.mkdir(os.path.dirname(path), 0o700)
    except OSError:
        pass
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags, 0o600)
    except OSError:
        return
    try:
        found = os.fstat(file)
        if not _is_ours(found):
            return
        if found.st_size + len(text) >= _LARGEST:
            os.ftruncate(file, 0)
        os.write(file, f"{text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass
    finally:
        os.close(file)


def _is_ours(found: os.stat_result) -> bool:
    """Tell whether nobody else can have written this file, nor have given it this name."""
    return found.st_uid == os.geteuid() and found.st_mode & 0o22 == 0 and found.st_nlink == 1


def _user_namespace(here: "Here") -> str:
    return "initial" if here.is_initial else _line("/proc/self/uid_map") + _line("/proc/self/gid_map")


def _boot() -> str:
    if not _booted:
        _booted.append(_line("/proc/sys/kernel/random/boot_id"))
    return _booted[0]


_booted: list[str] = []


def _line(path: str) -> str:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, 4096).decode(errors="replace").strip()
    finally:
        os.close(file)
