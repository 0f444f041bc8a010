"""What the terminal is like: its width, its colours, a line at its foot while something takes time."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

_PIPE_WIDTH = 80
#: Longer lines are hard to read.
_WIDEST = 100
_CLEAR = "\r\x1b[K"


def width() -> int:
    """Give the columns that text may take; a pipe gets the same text on every machine."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _PIPE_WIDTH


def colour() -> bool | None:
    """Tell click: no colours where NO_COLOR (no-color.org) or TERM says so, else its own choice."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a function that shows what is being done at the foot of a terminal; afterwards nothing is there.

    Without a thread that draws, unlike rich's: the probes fork, and a fork copies one thread and all locks.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield lambda _: None
        return
    columns = os.get_terminal_size(sys.stderr.fileno()).columns or _PIPE_WIDTH  # a serial line tells none

    def show(text: str) -> None:
        # Below the last column: a line that wraps cannot be taken back.
        _write(f"{_CLEAR}{text[: max(columns - 2, 0)]}…" if columns > 3 else "")

    def end(number: int, _: FrameType | None) -> None:
        _write(_CLEAR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGINT, end)
    try:
        yield show
    finally:
        signal.signal(signal.SIGINT, before)
        _write(_CLEAR)


def _write(text: str) -> None:
    """Write at once: a child of a fork has no use for what its parent has buffered."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode("utf-8", "replace"))
