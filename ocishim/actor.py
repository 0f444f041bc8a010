"""Working on files as somebody whom the id mapping of an overlay knows."""

import os

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .shift import IdMap


class Actor:
    """Makes this process work on files as a user whom the mapping knows, with the rights that it has."""

    __slots__ = ("_ids", "_own", "_rights")

    def __init__(self, idmap: "IdMap | None") -> None:
        self._own = os.geteuid(), os.getegid()
        self._ids = idmap.mounter(*self._own) if idmap else self._own
        self._rights = b""

    def __enter__(self) -> None:
        if self._ids != self._own:
            self._rights = linux.capabilities()
            linux.setfsids(*self._ids)
            linux.set_capabilities(self._rights)  # another fsuid than 0 loses those about files

    def __exit__(self, *_: object) -> None:
        if self._rights:
            linux.setfsids(*self._own)
            linux.set_capabilities(self._rights)
