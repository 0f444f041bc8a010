"""Where a command line goes: to the runtime at once, through the preparation of a container, to a person."""

import _signal  # type: ignore[import-not-found]  # signal's C half; signal itself costs 3 ms
import posix
import sys

from . import argv, initial, runtime, settings
from .errors import HostError, ShimError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


#: What is too low, by EAGAIN and EMFILE.
_LIMITS = {
    11: "raise pids.max of the control group, or the user's limit of processes (ulimit -u)",
    24: "raise the limit of open files (ulimit -n)",
}
#: More descriptors than a limit that hinders ocishim lets it have.
_MANY = 256


def main() -> int:
    """Run ocishim on sys.argv. Gives the exit status where it does not become the runtime."""
    inv = argv.Invocation()
    error: ShimError
    # Python would turn an interrupt into a traceback; where it was ignored, it stays so.
    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    # Where it is ignored nobody can wait for a child; the runtime gets it as it was.
    at_child = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    try:
        inv = argv.parse(sys.argv[1:])
        if inv.wrong:
            raise inv.wrong
        own = _for_a_person(inv)
        if own:
            from .cli.main import main as talk

            return talk(own)
        _to_runtime(inv, sys.argv[0], posix.environ, at_child)
    except ShimError as e:
        error = e
    except OSError as e:
        error = _unforeseen(e)
    except Exception as e:
        error = _bug(e)
    try:
        from . import log
    except OSError:  # no descriptor is left to read it
        posix.closerange(3, _MANY)
        from . import log

    return log.fail(error, inv)


def _to_runtime(
    inv: argv.Invocation, called_by: str, environ: "Mapping[bytes, bytes]", at_child: object
) -> "NoReturn":
    found = settings.load(environ)
    low_level = runtime.find(inv.runtime, called_by, found, environ)
    if inv.command and not (initial.may_mount() and initial.is_here()):
        from . import rootless

        rootless.go_on(inv, low_level, environ)
    if inv.command in argv.MAKES_CONTAINER and not inv.help:
        from . import container

        container.make(inv, low_level, found)
    elif inv.version and not inv.command:
        from . import __version__

        try:
            posix.write(1, f"ocishim version {__version__}\n".encode())
        except OSError:  # the runtime says what it makes of that
            pass
    _signal.signal(_signal.SIGCHLD, at_child)
    runtime.exec_(low_level, inv.words, environ)


def _unforeseen(error: OSError) -> ShimError:
    """Say which system call failed on what, where nobody knew more about it."""
    if str(error.filename).startswith("/proc/"):
        from . import refusal

        without = refusal.without_proc()
        if without:
            return without
    syscall = getattr(error, "syscall", "system call")
    on = f" {error.filename}" if error.filename else ""
    remedy = _LIMITS.get(error.errno or 0, "dmesg may say more")
    return HostError(f"{syscall}{on}", words(error.errno or 0), remedy)


def _bug(error: Exception) -> ShimError:
    """Say where ocishim itself is wrong: an engine's log shows one line, and a traceback not at all."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
    return ShimError(f"bug in ocishim at {at}", f"{type(error).__name__}: {error}", "please report it")


def _for_a_person(inv: argv.Invocation) -> list[str] | None:
    """Give the words of a command line that ocishim answers itself, None for one that a runtime gets."""
    if not inv.command:
        return ["--help"] if (inv.help or not inv.words) and not inv.version else None
    after = inv.words[inv.command_at + 1 :]
    if inv.command == "help" and after and after[0] != "run" and after[0] not in argv.OWN_COMMANDS:
        return None
    if inv.command in argv.OWN_COMMANDS:
        given = (("--runtime", inv.runtime), ("--overlay", inv.overlay))
        return [inv.command, *(word for pair in given if pair[1] for word in pair), *after]
    return ["run", "--help"] if inv.help and inv.command == "run" else None
