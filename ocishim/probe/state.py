"""What a runtime's state directory says of a container: its process, and whose user namespace it is in."""

import os

from .. import jsontext
from ..bundle import LARGEST
from ..errors import HostError, words
from ..idmap import JOINED, MADE


class Made:
    """A container in a user namespace that ocishim made or joined.

    `pid` is a process of it, 0 where none is known; `is_joined` tells that the spec named the namespace.
    """

    __slots__ = ("is_joined", "pid")

    def __init__(self, pid: int, is_joined: bool = False) -> None:
        self.pid = pid
        self.is_joined = is_joined

    def namespace(self) -> int:
        """Give a descriptor of that user namespace, -1 if no process is left in it.

        In the one that ocishim made the runtime may have made another; in one that the spec names it has not.
        """
        from ..userns import below_mine

        try:
            own = os.open(f"/proc/{self.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1
        below = below_mine(own)
        if self.is_joined and below >= 0:
            os.close(below)
            return own
        os.close(own)
        return below


def look(root: str, kind: str, name: str) -> Made | None:
    """Look a container up; give None for one that ocishim has no part in, or that is not there.

    Raises HostError if the state may not be read: it is another user's.
    """
    if not name or "/" in name or name in (".", ".."):
        return None
    if kind == "runsc":
        ending = f"_sandbox:{name}.state"
        text = next((_read(f"{root}/{file}") for file in _list(root) if file.endswith(ending)), "")
        made = _made(text, text, ("sandbox", "pid"))
        if made:
            made.is_joined = False  # a sandbox makes a user namespace for itself
        return made
    if kind == "crun":
        text = _read(f"{root}/{name}/config.json")
        return _made(text, _read(f"{root}/{name}/status"), ("pid",))
    text = _read(f"{root}/{name}/state.json")
    return _made(text, text, ("init_process_pid",))


def _made(marked: str, text: str, keys: tuple[str, ...]) -> Made | None:
    """Read the process from a JSON text; None if the mark is not in the other one."""
    if MADE not in marked:
        return None
    is_joined = marked.partition(MADE)[2].lstrip('": =').startswith(JOINED)
    try:
        value = jsontext.loads(text)
    except jsontext.JSONError:
        value = None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return Made(value if isinstance(value, int) and value > 0 else 0, is_joined)


def _list(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except OSError as e:
        _refused(e, root)
        return []


def _read(path: str) -> str:
    """Read a state file, "" if it is none: in a directory that others write it may be a FIFO, or endless."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as e:
        _refused(e, path)
        return ""
    try:
        found = os.fstat(file)
        if found.st_mode & 0o170000 != 0o100000 or found.st_size > LARGEST:
            return ""
        text = b""
        while chunk := os.read(file, 65536):
            text += chunk
    finally:
        os.close(file)
    return text.decode("utf-8", "surrogateescape")


def _refused(error: OSError, path: str) -> None:
    if error.errno in (1, 13):
        raise HostError(
            f"container state {path}", words(error.errno), "only the user who made a container can use it"
        ) from None
