"""Whether a layer still is the directory that was looked at: whoever may rename it can put another there."""

import os
from errno import ELOOP, ENOENT, ENOTDIR

from .. import filesystems
from ..errors import HostError
from .layer import Layer, old_mount_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def reopen(layer: Layer, flags: int) -> int:
    """Open the very directory that was looked at. Raises OSError, HostError where another is there now."""
    try:
        file = os.open(layer.path, flags | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        if e.errno in (ENOENT, ENOTDIR, ELOOP):
            check_same(layer, None)
        raise
    try:
        check_same(layer, os.fstat(file))
    except HostError:
        os.close(file)
        raise
    return file


def check_all(layers: "Sequence[Layer]") -> None:
    """See that the directories that were looked at are still where they were. Raises HostError.

    Upper and work directory must be on one mount, too: fuse-overlayfs would find that out at the first write.
    """
    for layer in layers:
        try:
            found = os.lstat(layer.path)
        except OSError:
            found = None
        check_same(layer, found)
    written = [layer for layer in layers if layer.role in ("upperdir", "workdir")]
    if len({layer.mount for layer in written}) < len({_mount_at(layer.path) for layer in written}):
        raise HostError(
            " and ".join(f"{layer.role}={layer.path}" for layer in written),
            "something was mounted on one of them since they were looked at",
            "mount nothing there while a container starts",
        )


def _mount_at(path: str) -> int:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        return old_mount_id(file)
    finally:
        os.close(file)


def check_same(layer: Layer, found: os.stat_result | None) -> None:
    """Compare with the directory that was looked at, locked and tried. Raises HostError if it is another.

    Whoever may rename it, or what holds it, can put a link in its place at any time.
    """
    if layer.magic not in filesystems.NUMBERED:
        return
    if not found or (found.st_dev, found.st_ino) != (layer.device, layer.inode):
        raise HostError(
            f"{layer.role}={layer.path}",
            "another directory has taken its place since it was looked at",
            "let nobody rename it, or what holds it, while a container starts",
        )
