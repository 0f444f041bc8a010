"""A person's command that ocishim becomes: found in PATH, started as a shell would."""

import os
from errno import EACCES, ENOENT, ENOEXEC, ENOTDIR

from . import runtime
from .errors import ShimError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


class NotRunError(ShimError):
    """A command did not start. `status` is the exit status that shells and env(1) give for it: 126 or 127."""

    status = 126


def become(command: "Sequence[str]") -> "NoReturn":
    """Become a command: same process, descriptors, directory, environment. Raises NotRunError."""
    name = command[0]
    refused = ENOENT
    for path in _candidates(name):
        try:
            _exec(path, command)
        except OSError as e:
            if e.errno not in (ENOENT, ENOTDIR):
                refused = e.errno or EACCES
            if e.errno not in (ENOENT, ENOTDIR, EACCES):
                break
    error = NotRunError(name or '""', "no such command" if refused == ENOENT else words(refused))
    error.status = 127 if refused == ENOENT else 126
    raise error


def _candidates(name: str) -> list[str]:
    if "/" in name or not name:
        return [name] if name else []
    return [os.path.join(directory, name) for directory in os.get_exec_path()]


def _exec(path: str, command: "Sequence[str]") -> None:
    try:
        runtime.become(path, [*command], os.environb)
    except OSError as e:
        if e.errno != ENOEXEC:
            raise
    runtime.become("/bin/sh", ["sh", path, *command[1:]], os.environb)  # as execvp(3) does
