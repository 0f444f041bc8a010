"""Where a command line goes: to the runtime at once, through the preparation of a container, to a person."""

import posix
import sys

from . import argv, runtime, settings
from .errors import HostError, ShimError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def main() -> int:
    """Run ocishim on sys.argv. Gives the exit status where it does not become the runtime."""
    inv = argv.Invocation()
    error: ShimError
    try:
        inv = argv.parse(sys.argv[1:])
        if _for_a_person(inv):
            from .cli.main import main as talk

            return talk(sys.argv[1:])
        _to_runtime(inv, sys.argv[0], posix.environ)
    except ShimError as e:
        error = e
    except OSError as e:
        error = _unforeseen(e)
    from . import log

    return log.fail(error, inv)


def _to_runtime(inv: argv.Invocation, called_by: str, environ: "Mapping[bytes, bytes]") -> "NoReturn":
    found = settings.load(environ)
    low_level = runtime.find(inv.runtime, called_by, found, environ)
    if inv.command in argv.MAKES_CONTAINER and not inv.help:
        from . import prepare

        prepare.container(inv, low_level, found)
    elif inv.version and not inv.command:
        from . import __version__

        posix.write(1, f"ocishim version {__version__}\n".encode())
    runtime.exec_(low_level, inv.words, environ)


def _unforeseen(error: OSError) -> ShimError:
    """Say which system call failed on what, where nobody knew more about it."""
    syscall = getattr(error, "syscall", "system call")
    on = f" {error.filename}" if error.filename else ""
    return HostError(f"{syscall}{on}", words(error.errno or 0), "dmesg may say more")


def _for_a_person(inv: argv.Invocation) -> bool:
    if not inv.command:
        return not inv.version
    if inv.command in argv.OWN_COMMANDS:
        return True
    return inv.help and inv.command == "run"
