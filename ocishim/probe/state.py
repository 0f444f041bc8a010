"""What a runtime's state directory says of a container: its process, and whose user namespace it is in."""

import os

from .. import jsontext
from ..errors import HostError, words
from ..idmap import MADE


class Made:
    """A container in a user namespace that ocishim made; `pid` is a process of it, 0 where none is known."""

    __slots__ = ("pid",)

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def namespace(self) -> int:
        """Give a descriptor of that user namespace, -1 if no process is left in it."""
        from ..userns import below_mine

        try:
            own = os.open(f"/proc/{self.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1
        try:
            return below_mine(own)
        finally:
            os.close(own)


def look(root: str, kind: str, name: str) -> Made | None:
    """Look a container up; give None for one that ocishim has no part in, or that is not there.

    Raises HostError if the state may not be read: it is another user's.
    """
    if not name or "/" in name or name in (".", ".."):
        return None
    if kind == "runsc":
        ending = f"_sandbox:{name}.state"
        text = next((_read(f"{root}/{file}") for file in _list(root) if file.endswith(ending)), "")
        return _made(text, ("sandbox", "pid")) if MADE in text else None
    if kind == "crun":
        text = _read(f"{root}/{name}/config.json")
        return _made(_read(f"{root}/{name}/status"), ("pid",)) if MADE in text else None
    text = _read(f"{root}/{name}/state.json")
    return _made(text, ("init_process_pid",)) if MADE in text else None


def _made(text: str, keys: tuple[str, ...]) -> Made:
    try:
        value = jsontext.loads(text)
    except jsontext.JSONError:
        value = None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return Made(value if isinstance(value, int) and value > 0 else 0)


def _list(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except OSError as e:
        _refused(e, root)
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as e:
        _refused(e, path)
        return ""


def _refused(error: OSError, path: str) -> None:
    if error.errno in (1, 13):
        raise HostError(
            f"container state {path}", words(error.errno), "only the user who made a container can use it"
        ) from None
