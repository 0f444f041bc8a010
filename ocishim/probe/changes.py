"""The changes that an upper layer holds: a walk through it, beside its lower layers where they are known."""

import os

from ..diff import DELETED, RENAMED, UNKNOWN, Below, Change, Entry, classify
from ..errors import words
from . import stack
from .stack import Directory, Lowers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ROOTS = (
    "written by an overlay of root, whose marks only root can read: which directories are opaque or renamed"
)


def walk(upper: str, lowers: "Sequence[str] | None", sees_trusted: bool) -> "Iterator[Change]":
    """Give the changes, in the order of names, those in a directory behind it, deleted names last.

    `lowers` come top → bottom, None where they are not known. `sees_trusted` tells that this process can read
    trusted xattrs; what it cannot read is UNKNOWN.
    """
    return _Walk(lowers, sees_trusted).through(upper)


class _Place:
    """A directory of the upper layer, and the directories of lower layers that it shows or hides."""

    __slots__ = ("below", "inside", "is_opaque", "old", "path")

    def __init__(
        self, path: str, inside: str, old: str, below: "Sequence[Directory]", is_opaque: bool
    ) -> None:
        self.path = path
        self.inside = inside
        self.old = old
        self.below = below
        self.is_opaque = is_opaque


class _Walk:
    def __init__(self, lowers: "Sequence[str] | None", sees_trusted: bool) -> None:
        self.lowers = Lowers(lowers or ())
        self.knows_lower = lowers is not None
        self.sees_trusted = sees_trusted
        #: With the path that the name had in lower layers: a rename leaves a whiteout there.
        self.deleted: list[tuple[str, Change]] = []
        self.renamed: set[str] = set()
        self.has_whiteout = False
        self.has_user_mark = False

    def through(self, upper: str) -> "Iterator[Change]":
        open_ = [self._directory(_Place(upper, "", "", self.lowers.roots(), False))]
        while open_:
            found = next(open_[-1], None)
            if found is None:
                open_.pop()
            elif isinstance(found, Change):
                yield found
            else:
                open_.append(self._directory(found))
        yield from (change for old, change in self.deleted if old not in self.renamed)
        if self.has_whiteout and not self.has_user_mark and not self.sees_trusted:
            yield Change(UNKNOWN, ".", "directory", why=_ROOTS)

    def _directory(self, place: _Place) -> "Iterator[Change | _Place]":
        """Give the changes in a directory, and behind each directory in it that place, to be gone through."""
        try:
            names = set(os.listdir(place.path))
            marks = stack.marks(place.path)
        except OSError as e:
            yield Change(UNKNOWN, place.inside or ".", "directory", why=words(e.errno or 0))
            return
        is_hidden = place.is_opaque or stack.is_opaque(marks, names)
        for name in sorted(names):
            try:
                change, inner = self._entry(place, name, marks, is_hidden)
            except OSError as e:
                change, inner = Change(UNKNOWN, _join(place.inside, name), why=words(e.errno or 0)), None
            if change and change.what == DELETED:
                self._delete(place, change)
            elif change:
                if change.what == RENAMED:
                    self.renamed.add(change.old)
                yield change
            if inner:
                yield inner
        if is_hidden:
            known = {name.removeprefix(stack.WHITEOUT) for name in names}
            for name in sorted(self.lowers.names(place.below) - known):
                found = self.lowers.find(place.below, name)
                if found:
                    self._delete(place, Change(DELETED, _join(place.inside, name), found[0].kind))

    def _delete(self, place: _Place, change: Change) -> None:
        self.deleted.append((_join(place.old, os.path.basename(change.path)), change))

    def _entry(
        self, place: _Place, name: str, marks: stack.Marks, is_hidden: bool
    ) -> tuple[Change | None, _Place | None]:
        """Judge one name; give also the place that it is if it is a directory."""
        hidden = stack.hidden_by(name)
        if hidden is not None:  # a whiteout of fuse-overlayfs, "" for a mark of the directory
            return (self._whiteout(place, hidden) if hidden else None), None
        path = os.path.join(place.path, name)
        status = os.lstat(path)
        own = stack.marks(path)
        self.has_user_mark |= own.is_user
        if stack.is_whiteout(status, own, marks):
            self.has_whiteout |= not own.has_whiteout
            return self._whiteout(place, name), None
        entry = Entry(
            _join(place.inside, name),
            stack.kind(status.st_mode),
            is_metacopy=own.is_metacopy,
            is_replaced=is_hidden,
            has_origin=own.has_origin,
        )
        old = _join(place.old, name)
        if own.redirect:
            is_whole = own.redirect[:1] == "/"
            old = entry.redirect = own.redirect[1:] if is_whole else _join(place.old, own.redirect)
        below = self.lowers.follow(own.redirect, place.below, name)
        inner = None
        if entry.kind == "directory":
            entry.is_opaque = own.opaque == "y" or stack.has_opaque_file(path)
            entry.metadata = stack.metadata(path, status)
            directories = [each for each in below if each.kind == "directory"]
            is_opaque = entry.is_opaque or (is_hidden and not own.redirect)
            inner = _Place(path, entry.path, old, directories, is_opaque)
        return classify(entry, _shown(below, entry.kind), self.knows_lower), inner

    def _whiteout(self, place: _Place, name: str) -> Change | None:
        entry = Entry(_join(place.inside, name), "file", is_whiteout=True)
        return classify(entry, _shown(self.lowers.find(place.below, name), ""), self.knows_lower)


def _shown(found: "Sequence[Directory]", kind: str) -> Below | None:
    if not found:
        return None
    top = found[0]
    is_compared = top.kind == kind == "directory"
    return Below(top.kind, stack.metadata(top.path, os.lstat(top.path)) if is_compared else None)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
