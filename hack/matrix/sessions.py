"""Programs in sessions of their own, so that they end with everything they have started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_running: "set[subprocess.Popen[Any]]" = set()
_is_over: list[bool] = []


@contextlib.contextmanager
def start(
    argv: Sequence[str | os.PathLike[str]],
    *,
    directory: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    stderr: int = subprocess.STDOUT,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a program with its output in a pipe; when the block is left, all of it is killed."""
    if _is_over:
        raise InterruptedError("everything is being ended")
    process = subprocess.Popen(
        argv,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    _running.add(process)
    try:
        yield process
    finally:
        _kill(process)
        _running.discard(process)
        process.communicate()


def end_all() -> None:
    """Kill what runs, in whichever thread it was started, and let nothing start from now on."""
    _is_over.append(True)
    for process in list(_running):
        _kill(process)


def _kill(process: "subprocess.Popen[Any]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its own until it is waited for
    except ProcessLookupError:
        return
