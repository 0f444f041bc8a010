"""Whether a layer's meaning hangs on what only root of the initial user namespace sees: trusted.* attributes.

Overlay's are given names of the same length that mean nothing. If who asked sees the same as before, nobody
there can know what they have said.
"""

import hashlib
import os
from collections.abc import Iterator

from . import privilege
from .ways import Layers

_OVERLAY, _NOBODY = "trusted.overlay.", "trusted.nobody_."
_LIMIT = 20.0
Seen = dict[str, list[object]]


def decides(layers: Layers, who: str) -> bool:
    """Make the hidden attributes mean nothing; tell whether there were any and `who` sees no difference.

    Called as root of the initial user namespace, on layers that nothing needs any more.
    """
    before = privilege.run(who, lambda: look(layers), _LIMIT)
    renamed = [_rename(path) for path in _walk(layers)]
    after = privilege.run(who, lambda: look(layers), _LIMIT)
    return any(renamed) and bool(before == after)


def look(layers: Layers) -> Seen:
    """Give all that can be seen of the layers: what lstat(2) says but for times of access and change, all
    attributes, all content."""
    return {path: _seen(path) for path in _walk(layers)}


def _walk(layers: Layers) -> Iterator[str]:
    for directory in layers.directories():
        yield directory
        for place, directories, files in os.walk(directory):
            yield from (os.path.join(place, name) for name in (*directories, *files))


def _seen(path: str) -> list[object]:
    it = os.lstat(path)
    seen: list[object] = [it.st_mode, it.st_ino, it.st_nlink, it.st_uid, it.st_gid, it.st_rdev]
    seen += [it.st_size, it.st_blocks, it.st_mtime_ns]
    for name in sorted(_attributes(path)):
        seen += [name, os.getxattr(path, name, follow_symlinks=False).hex()]
    if os.path.islink(path):
        seen.append(os.readlink(path))
    elif os.path.isfile(path):
        with open(path, "rb") as file:
            seen.append(hashlib.sha256(file.read()).hexdigest())
    return seen


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def _rename(path: str) -> bool:
    names = [name for name in _attributes(path) if name.startswith(_OVERLAY)]
    for name in names:
        value = os.getxattr(path, name, follow_symlinks=False)
        os.removexattr(path, name, follow_symlinks=False)
        os.setxattr(path, name.replace(_OVERLAY, _NOBODY), value, follow_symlinks=False)
    return bool(names)
