"""What one entry of an upper layer means, pure: added, changed, deleted, renamed, or not to be told."""

ADDED, CHANGED, DELETED, RENAMED, UNKNOWN = "added", "changed", "deleted", "renamed", "unknown"

_OPAQUE = "opaque: everything below it in lower layers is hidden"
_METACOPY = "metadata only: its content is a lower layer's"
_NO_DATA = "metadata only, and no lower layer has its content"


class Entry:
    """A name in an upper layer.

    `path` is the one in the overlay, `kind` file, directory, link, device, fifo or socket, `metadata` what a
    directory can have otherwise than the one below it. `redirect` is the path that it has in lower layers
    after a rename, "" without one. `is_replaced` tells that it lies in an opaque directory.
    """

    __slots__ = (
        "has_origin", "is_metacopy", "is_opaque", "is_replaced", "is_whiteout", "kind", "metadata", "path",
        "redirect",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        kind: str,
        metadata: object = None,
        *,
        is_whiteout: bool = False,
        is_opaque: bool = False,
        is_metacopy: bool = False,
        is_replaced: bool = False,
        has_origin: bool = False,
        redirect: str = "",
    ) -> None:
        self.path = path
        self.kind = kind
        self.metadata = metadata
        self.is_whiteout = is_whiteout
        self.is_opaque = is_opaque
        self.is_metacopy = is_metacopy
        self.is_replaced = is_replaced
        self.has_origin = has_origin
        self.redirect = redirect


class Below:
    """What the lower layers show together at an entry's place."""

    __slots__ = ("kind", "metadata")

    def __init__(self, kind: str, metadata: object = None) -> None:
        self.kind = kind
        self.metadata = metadata


class Change:
    """One line of a diff. `old` is the path before a rename, `why` what else there is to know."""

    __slots__ = ("kind", "old", "path", "what", "why")

    def __init__(self, what: str, path: str, kind: str = "unknown", old: str = "", why: str = "") -> None:
        self.what = what
        self.path = path
        self.kind = kind
        self.old = old
        self.why = why


def classify(entry: Entry, below: Below | None, knows_lower: bool) -> Change | None:
    """Say what an entry changes, None if nothing.

    Where the lower layers are not known, an entry that was copied up is told by its origin mark alone.
    """
    if entry.is_whiteout:
        if knows_lower and not below:
            return None
        return Change(DELETED, entry.path, below.kind if below else "unknown")
    if entry.redirect:
        return Change(RENAMED, entry.path, entry.kind, entry.redirect, _METACOPY if entry.is_metacopy else "")
    if entry.is_metacopy:
        if knows_lower and not below:
            return Change(UNKNOWN, entry.path, entry.kind, why=_NO_DATA)
        return Change(CHANGED, entry.path, entry.kind, why=_METACOPY)
    if knows_lower:
        return _compare(entry, below)
    why = _OPAQUE if entry.is_opaque else ""
    if not entry.has_origin:
        return Change(ADDED, entry.path, entry.kind, why=why)
    if entry.kind == "directory" and not entry.is_opaque:
        return None
    return Change(CHANGED, entry.path, entry.kind, why=why)


def _compare(entry: Entry, below: Below | None) -> Change | None:
    if not below:
        return Change(ADDED, entry.path, entry.kind)
    if entry.kind != "directory" or below.kind != "directory":
        return Change(CHANGED, entry.path, entry.kind)
    if entry.is_opaque or entry.is_replaced:
        return Change(CHANGED, entry.path, entry.kind, why="replaced")
    return Change(CHANGED, entry.path, entry.kind) if entry.metadata != below.metadata else None
