"""One command, timed: from just before it is spawned until it has ended."""

import os
import pathlib
import signal
import time
from collections.abc import Mapping
from types import FrameType

#: Seconds after which a command is taken for hung.
PATIENCE = 120.0


class FailedError(Exception):
    """A command that was to be measured failed, so there is nothing to measure."""

    def __init__(self, argv: tuple[str, ...], how: str, said: str) -> None:
        super().__init__(f"{' '.join(argv)[:500]}: {how}; it said: {said.strip()[-2000:] or 'nothing'}")


class Done:
    """A command that has ended: what it wrote to stdout, two times in seconds after its spawn, and `cpu`.

    `heard` is when its first output came, or the end of it, `gone` when the command had ended. In between
    the kernel takes down a mount namespace that ends with it, and syncs the upper's file system for each
    overlay in there. With a real runtime that is part of the container's end, not of `create`. `cpu` is the
    processor's time for all of it, which other work on the machine lengthens less.
    """

    __slots__ = ("cpu", "gone", "heard", "output")

    def __init__(self, output: str, heard: float, gone: float, cpu: float) -> None:
        self.output = output
        self.heard = heard
        self.gone = gone
        self.cpu = cpu


def run(argv: tuple[str, ...], environment: Mapping[str, str], scratch: pathlib.Path) -> Done:
    """Run a command to its end, PATIENCE seconds at most; it is killed if this is interrupted.

    Raises FailedError, TimeoutError.
    """
    errors = scratch / "stderr"
    errors.unlink(missing_ok=True)
    out, out_in = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out_in, 1),
        (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    handler = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    process = 0
    try:
        before = time.perf_counter()
        process = os.posix_spawn(argv[0], argv, environment, file_actions=actions)
        os.close(out_in)
        out_in = -1
        written = chunk = os.read(out, 65536)
        heard = time.perf_counter()
        while chunk:
            chunk = os.read(out, 65536)
            written += chunk
        _, status, used = os.wait4(process, 0)
        gone = time.perf_counter()
    except BaseException:
        if process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        for file in (out, out_in):
            if file >= 0:
                os.close(file)
    if status:
        raise FailedError(argv, f"exit status {os.waitstatus_to_exitcode(status)}", errors.read_text())
    return Done(
        written.decode(errors="replace"), heard - before, gone - before, used.ru_utime + used.ru_stime
    )


def _give_up(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"a command did not end within {PATIENCE:.0f} s")
