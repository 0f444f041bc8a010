"""A stack of lower layers as overlayfs reads it: whiteouts, opaque directories, redirects (overlayfs.rst)."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Begins the names of fuse-overlayfs' whiteouts.
WHITEOUT = ".wh."
_OPAQUE_FILES = (".wh..wh..opq", ".wh..opq")
_PREFIXES = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")


class Marks:
    """The xattrs of overlays on one file; `is_user` tells that one is not a trusted one."""

    __slots__ = ("has_origin", "has_whiteout", "is_metacopy", "is_user", "opaque", "redirect")

    def __init__(self) -> None:
        self.opaque = ""
        self.redirect = ""
        self.has_origin = self.has_whiteout = self.is_metacopy = self.is_user = False


class Directory:
    """An entry of a lower layer: the number of the layer, its path, what it is."""

    __slots__ = ("kind", "layer", "path")

    def __init__(self, layer: int, path: str, kind: str) -> None:
        self.layer = layer
        self.path = path
        self.kind = kind


class Lowers:
    """The lower layers of an overlay, top → bottom."""

    def __init__(self, paths: "Sequence[str]") -> None:
        self._roots = [Directory(number, path, "directory") for number, path in enumerate(paths)]

    def roots(self) -> list[Directory]:
        """Give the layers themselves."""
        return self._roots

    def find(self, parents: "Sequence[Directory]", name: str) -> list[Directory]:
        """Find what they show as one entry of a directory that they have together.

        That is the entry, or the directories that it is merged of, top → bottom; nothing if there is none.
        """
        found: list[Directory] = []
        for at, parent in enumerate(parents):
            path = os.path.join(parent.path, name)
            try:
                status = os.lstat(path)
            except OSError:
                if os.path.lexists(os.path.join(parent.path, WHITEOUT + name)):
                    break
                continue
            own = marks(path)
            kind_ = kind(status.st_mode)
            of_directory = marks(parent.path) if own.has_whiteout else own
            if is_whiteout(status, own, of_directory) or (found and kind_ != "directory"):
                break
            found.append(Directory(parent.layer, path, kind_))
            if kind_ != "directory" or own.opaque == "y" or has_opaque_file(path):
                break
            if own.redirect:
                return found + self.follow(own.redirect, parents[at + 1 :], name, parent.layer + 1)
        return found

    def follow(
        self, redirect: str, parents: "Sequence[Directory]", name: str, first: int = 0
    ) -> list[Directory]:
        """Find an entry where a redirect says that it is, from layer `first` on; without one by its name."""
        if redirect[:1] != "/":
            return self.find(parents, redirect or name)
        found = self._roots[first:]
        for part in redirect.strip("/").split("/"):
            found = self.find(found, part)
        return found

    def names(self, parents: "Sequence[Directory]") -> set[str]:
        """Give all names that directories have, also those that one of them hides from another."""
        found: set[str] = set()
        for parent in parents:
            try:
                found.update(name for name in os.listdir(parent.path) if not name.startswith(WHITEOUT))
            except OSError:
                continue
        return found


def marks(path: str) -> Marks:
    """Read the marks of one file. Raises OSError where there are some that may not be read."""
    found = Marks()
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without xattrs
        return found
    for name in names:
        prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
        if not prefix:
            continue
        found.is_user |= name.startswith("user.")
        mark = name.removeprefix(prefix)
        if mark == "opaque":
            found.opaque = os.getxattr(path, name, follow_symlinks=False).decode(errors="replace")
        elif mark == "redirect":
            found.redirect = os.fsdecode(os.getxattr(path, name, follow_symlinks=False))
        elif mark == "origin":
            found.has_origin = True
        elif mark == "metacopy":
            found.is_metacopy = True
        elif mark == "whiteout":
            found.has_whiteout = True
    return found


def is_whiteout(found: os.stat_result, own: Marks, of_directory: Marks) -> bool:
    """Tell whether an entry only hides a name: a device 0:0, or a file with an xattr."""
    if stat.S_ISCHR(found.st_mode):
        return found.st_rdev == 0
    return own.has_whiteout and of_directory.opaque == "x" and stat.S_ISREG(found.st_mode)


def hidden_by(name: str) -> str | None:
    """Give the name that a file of this name hides for fuse-overlayfs, "" for a mark, None for neither."""
    if not name.startswith(WHITEOUT):
        return None
    hidden = name.removeprefix(WHITEOUT)
    return "" if name in _OPAQUE_FILES or hidden.startswith(WHITEOUT) else hidden


def is_opaque(own: Marks, names: "set[str]") -> bool:
    """Tell whether a directory hides those below it."""
    return own.opaque == "y" or any(name in names for name in _OPAQUE_FILES)


def has_opaque_file(path: str) -> bool:
    """Tell whether fuse-overlayfs made a directory opaque by a file in it."""
    return any(os.path.lexists(os.path.join(path, name)) for name in _OPAQUE_FILES)


def metadata(path: str, found: os.stat_result) -> object:
    """Give what of a directory can be changed but its entries: mode, owner, xattrs that are no marks."""
    try:
        names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith(_PREFIXES)]
        more = [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]
    except OSError:
        more = []
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, sorted(more))


def kind(mode: int) -> str:
    """Say what a file is."""
    return _KINDS.get(stat.S_IFMT(mode), "unknown")


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
