"""Marks that overlayfs and fuse-overlayfs leave in layers, where they change what an overlay shows.

A mark means something only where a lower layer has the same directory: only there the walk goes, so an
empty upper layer costs nothing, and another storage's layers somewhere inside a layer are not taken for
marks of this one.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layer import Layer

#: How often it looks for a name, for a container that starts: some 5 ms at worst.
LIMIT = 2000
_PREFIXES = ("trusted.overlay.", "user.overlay.")
_FUSE = "user.fuseoverlayfs."
#: What an overlay that a user namespace can read leaves on what it copies up.
_SEEN = ("user.overlay.", _FUSE)
_WHITEOUT = ".wh."


class Mark:
    """A mark in a layer; `name` is the xattr or the file's name, `is_user` tells the user prefix.

    `kind` is fuse (only fuse-overlayfs knows it), opaque, metacopy, redirect, whiteout (an empty file with an
    xattr), or foreign: an upper layer with whiteouts and none of the marks that a user namespace can see.
    """

    __slots__ = ("is_user", "kind", "name", "path", "role")

    def __init__(self, kind: str, name: str, role: str, path: str) -> None:
        self.kind = kind
        self.name = name
        self.role = role
        self.path = path
        self.is_user = name.startswith("user.")

    def fields(self) -> tuple[str, str, str, str]:
        """Give what makes it, for the way through a pipe."""
        return (self.kind, self.name, self.role, self.path)


def look(layers: "Sequence[Layer]", is_initial: bool, limit: int = LIMIT) -> tuple[list[Mark], bool]:
    """Find one mark of each kind and prefix; tell also whether all was looked at.

    `layers` come top → bottom. trusted xattrs are invisible outside the initial user namespace. What they
    leave besides is looked for there: files of which only the size is there, an upper layer without marks.
    """
    stack = [layer for layer in layers if layer.role in ("upperdir", "lowerdir")]
    walk = _Walk(limit, is_initial)
    for number, layer in enumerate(stack):
        below = [each.path for each in stack[number + 1 :]]
        data = any(each.role == "datadir" for each in layers)
        if (below or data) and not walk.through(layer, below):
            return list(walk.found.values()), False
        if number == 0 and layer.role == "upperdir" and not is_initial:
            walk.judge(layer)
    return list(walk.found.values()), True


class _Walk:
    def __init__(self, limit: int, is_initial: bool) -> None:
        self.left = limit
        self.is_initial = is_initial
        self.has_whiteout = False
        self.has_directory = False
        self.has_user_mark = False
        self.found: dict[tuple[str, bool], Mark] = {}

    def through(self, layer: "Layer", below: "Sequence[str]") -> bool:
        """Walk through what a layer shares with those below it; False if there is more than may be seen."""
        pending = [""]
        while pending:
            inside = pending.pop()
            lower = [path + inside for path in below if not inside or _is_directory(path + inside)]
            self.left -= len(below) if inside else 0
            try:
                entries = os.scandir(layer.path + inside)
            except OSError:
                continue
            with entries:
                for entry in entries:
                    self.left -= 1
                    if self.left < 0:
                        return False
                    path = f"{inside}/{entry.name}"
                    if entry.name.startswith(_WHITEOUT):
                        self._take_name(layer, path, entry.name, lower)
                    elif entry.is_dir(follow_symlinks=False):
                        is_shared = self._is_in(lower, entry.name)
                        self._take_directory(layer, path, is_shared)
                        if is_shared:
                            pending.append(path)
                    elif entry.is_file(follow_symlinks=False):
                        self._take_file(layer, path, entry, lower)
                    elif not self.has_whiteout:
                        self.has_whiteout = _is_whiteout(entry)
        return True

    def _is_in(self, lower: "Sequence[str]", name: str) -> bool:
        """Tell whether one of these has such a directory, as far as may be looked."""
        for each in lower:
            self.left -= 1
            if _is_directory(f"{each}/{name}"):
                return True
            if self.left < 0:
                return False
        return False

    def judge(self, layer: "Layer") -> None:
        """Note an upper layer that was written by an overlay, and not by one with userxattr."""
        known = any(name.startswith(_SEEN) for name in _xattrs(layer.path))
        if self.has_whiteout and self.has_directory and not (known or self.has_user_mark):
            self._add(layer, "", "foreign", "trusted.overlay.*")

    def _take_name(self, layer: "Layer", path: str, name: str, lower: "Sequence[str]") -> None:
        hidden = name.removeprefix(_WHITEOUT)
        # .wh..wh..opq and .wh..opq make a directory opaque; the others hide a name.
        if hidden.startswith(".wh.") or hidden == ".opq":
            is_mark = bool(lower)
        else:
            is_mark = hidden != "" and any(os.path.lexists(f"{each}/{hidden}") for each in lower)
        if is_mark:
            self._add(layer, path, "fuse", name)

    def _take_directory(self, layer: "Layer", path: str, is_shared: bool) -> None:
        self.has_directory = True
        for name in _xattrs(layer.path + path):
            self.has_user_mark |= name.startswith(_SEEN)
            if is_shared and name == f"{_FUSE}opaque":
                self._add(layer, path, "fuse", name)
            for prefix in _PREFIXES:
                # "y" is opaque, "x" only says that there are whiteouts by xattr
                if is_shared and name == f"{prefix}opaque" and _value(layer.path + path, name) == b"y":
                    self._add(layer, path, "opaque", name)
                elif name == f"{prefix}redirect":
                    self._add(layer, path, "redirect", name)

    def _take_file(
        self, layer: "Layer", path: str, entry: "os.DirEntry[str]", lower: "Sequence[str]"
    ) -> None:
        if not self.is_initial and _is_empty_copy(entry, lower):
            self._add(layer, path, "metacopy", "trusted.overlay.metacopy")
        for name in _xattrs(layer.path + path):
            self.has_user_mark |= name.startswith(_SEEN)
            for prefix in _PREFIXES:
                if name == f"{prefix}metacopy":
                    self._add(layer, path, "metacopy", name)
                elif name == f"{prefix}whiteout" and _is_x_opaque(os.path.dirname(layer.path + path)):
                    self._add(layer, path, "whiteout", name)

    def _add(self, layer: "Layer", path: str, kind: str, name: str) -> None:
        mark = Mark(kind, name, layer.role, layer.path + path)
        self.found.setdefault((kind, mark.is_user), mark)


def _is_x_opaque(path: str) -> bool:
    return any(_value(path, f"{prefix}opaque") == b"x" for prefix in _PREFIXES)


def _is_whiteout(entry: "os.DirEntry[str]") -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_empty_copy(entry: "os.DirEntry[str]", lower: "Sequence[str]") -> bool:
    """Tell whether a file has nothing but the size of the one below it, as metacopy makes them."""
    from . import sample

    try:
        found = entry.stat(follow_symlinks=False)
        if not found.st_size or found.st_blocks * 512 >= max(found.st_size, 4097):
            return False
        return sample.is_hole(entry.path) and any(
            os.lstat(path).st_size == found.st_size and not sample.is_hole(path)
            for path in (f"{each}/{entry.name}" for each in lower)
            if os.path.isfile(path)
        )
    except OSError:
        return False


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _xattrs(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def _value(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""
