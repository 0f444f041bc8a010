"""A small file and a small directory of a real lower layer, to see what an overlay makes of them."""

import os
import stat
from errno import ENXIO

from .. import filesystems
from . import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .layer import Layer

_ENTRIES = 100
_DEEPEST = 3
_LARGEST = 1 << 16
_FULLEST = 8


def of(layers: "Sequence[Layer]") -> "Iterator[Layer]":
    """Give one lower layer for each mount that the lower layers lie on."""
    seen = set()
    for layer in layers:
        if layer.magic in filesystems.VIEWS or layer.magic in filesystems.FORBIDDEN:
            continue  # reading may do something there, and the content is another one each time
        if layer.role == "lowerdir" and (layer.device, layer.mount) not in seen:
            seen.add((layer.device, layer.mount))
            yield layer


def read(layer: "Layer", merged: str) -> list[tuple[str, int, str]]:
    """Read a file of the layer through an overlay; give what failed: operation, errno, the file."""
    content, errno = b"", 0

    def fits(entry: "os.DirEntry[str]", shown: str) -> bool:
        """Read through the overlay first: a hostfs of 5.10 reads there what was opened below before, only."""
        nonlocal content, errno
        if not _is_alike(entry, shown):
            return False
        try:
            content, errno = operations.read(shown), 0
        except OSError as e:
            errno = e.errno or 5
        return not is_hole(entry.path)

    file, _ = _find(layer.path, merged, fits)
    if not file:
        return []
    try:
        expected = operations.read(layer.path + file)
        if not errno and content != expected == operations.read(layer.path + file):
            errno = 5
    except OSError:  # not even without an overlay
        return []
    return [("read", errno, layer.path + file)] if errno else []


def change(layer: "Layer", merged: str) -> list[tuple[str, int, str]]:
    """Change and delete the sample through an overlay, whose upper layer must be scratch."""
    file, directory = _find(layer.path, merged, _fits)
    failed = []
    if file:
        try:
            expected = operations.read(layer.path + file)
        except OSError:
            expected = None
        if expected is not None:
            failed += _failure("write", layer, file, lambda: _append(merged, file, expected))
            failed += _failure("whiteout", layer, file, lambda: _unlink(merged, file))
    if directory:
        failed += _failure("create", layer, directory, lambda: _create(merged, directory))
        failed += _failure("opaque", layer, directory, lambda: _replace(merged, directory))
    return failed


class _Directory:
    """A directory of an overlay, to which no link leads: one that leaves the overlay leads to the host."""

    __slots__ = ("_file",)

    def __init__(self, merged: str, inside: str) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(merged, flags)
        for name in inside.split("/"):
            if name:
                parent = self._file
                try:
                    self._file = os.open(name, flags, dir_fd=parent)
                finally:
                    os.close(parent)

    def __enter__(self) -> "_Directory":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def file(self) -> int:
        """The descriptor."""
        return self._file

    def path(self, name: str) -> str:
        """Give a path to a name in it; the name itself may be a link."""
        return f"/proc/self/fd/{self._file}/{name}"


def _append(merged: str, file: str, before: bytes) -> None:
    with _Directory(merged, os.path.dirname(file)) as shown:
        operations.append(shown.path(os.path.basename(file)), before)


def _unlink(merged: str, file: str) -> None:
    with _Directory(merged, os.path.dirname(file)) as shown:
        os.unlink(os.path.basename(file), dir_fd=shown.file)


def _failure(operation: str, layer: "Layer", path: str, act: object) -> list[tuple[str, int, str]]:
    try:
        act()  # type: ignore[operator]  # typing.Callable would cost an import
    except OSError as e:
        if e.errno in (1, 13) and _is_refused_anyway(layer.path + path):
            return []
        return [(operation, e.errno or 5, layer.path + path)]
    return []


def _create(merged: str, directory: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with _Directory(merged, directory) as shown:
        os.close(os.open(".ocishim-new", flags, 0o600, dir_fd=shown.file))
        os.unlink(".ocishim-new", dir_fd=shown.file)


def _replace(merged: str, directory: str) -> None:
    with _Directory(merged, directory) as shown:
        for name in os.listdir(shown.file):
            os.unlink(name, dir_fd=shown.file)
    name = os.path.basename(directory)
    with _Directory(merged, os.path.dirname(directory)) as parent:
        os.rmdir(name, dir_fd=parent.file)
        os.mkdir(name, dir_fd=parent.file)
    with _Directory(merged, directory) as shown:
        if os.listdir(shown.file):
            raise OSError(17, "the deleted files are back")


def _find(root: str, merged: str, fits: "Callable[[os.DirEntry[str], str], bool]") -> tuple[str, str]:
    """Find a file and a directory, as paths from the layer's root; "" where no entry near it fits.

    `fits` judges a file by its entry and by a path to what the overlay shows in its place.
    """
    file = directory = ""
    pending = [("", 0)]
    left = _ENTRIES
    while pending and left > 0 and not (file and directory):
        inside, depth = pending.pop(0)
        try:
            entries = os.scandir(root + inside)
        except OSError:
            continue
        count, only_files = 0, True
        with entries:
            try:
                shown = _Directory(merged, inside)
            except OSError:  # another layer hides it
                continue
            with shown:
                for entry in entries:
                    left -= 1
                    count += 1
                    if left <= 0:
                        only_files = False
                        break
                    path = f"{inside}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        only_files = False
                        if depth < _DEEPEST:
                            pending.append((path, depth + 1))
                    elif not entry.is_file(follow_symlinks=False):
                        only_files = False
                    elif not file and fits(entry, shown.path(entry.name)):
                        file = path
                only_files = only_files and count <= _FULLEST and _has_only_files(shown.path("."))
        if inside and not directory and only_files and inside != os.path.dirname(file):
            directory = inside
    return file, directory


def _has_only_files(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            kinds = [entry.is_file(follow_symlinks=False) for entry in entries]
    except OSError:
        return False
    return all(kinds) and len(kinds) <= _FULLEST


def _fits(entry: "os.DirEntry[str]", merged: str) -> bool:
    return _is_alike(entry, merged) and not is_hole(entry.path)  # as metacopy leaves it


def _is_alike(entry: "os.DirEntry[str]", merged: str) -> bool:
    """Tell whether a file is small, and the one that the overlay shows in this place."""
    try:
        found, shown = entry.stat(follow_symlinks=False), os.lstat(merged)
    except OSError:
        return False
    return (
        found.st_size <= _LARGEST
        and stat.S_ISREG(shown.st_mode)
        and (found.st_size, found.st_mtime_ns) == (shown.st_size, shown.st_mtime_ns)
        and not entry.name.startswith(".wh.")
    )


def is_hole(path: str) -> bool:
    """Tell whether a file has a size and no data (lseek(2), SEEK_DATA)."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return os.fstat(file).st_size > 0 and os.lseek(file, 0, os.SEEK_DATA) < 0
    except OSError as e:
        return e.errno == ENXIO
    finally:
        os.close(file)


def _is_refused_anyway(path: str) -> bool:
    """Tell whether a file may not be changed without an overlay either.

    By its owner and mode, or by its flags (FS_IOC_GETFLAGS): chattr +i and +a are kept by overlays, too.
    """
    import fcntl

    if not os.access(path, os.W_OK):
        return True

    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flags = int.from_bytes(fcntl.ioctl(file, 0x80086601, bytes(8)), "little")
    except OSError:
        return False
    finally:
        os.close(file)
    return flags & 0x30 != 0
