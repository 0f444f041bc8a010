"""A refusal in the words of the catalogue: the finding's message filled in, its remedy, its page."""

import os

from .errors import HostError, SpecError


def of(id_: str, where: str, /, **values: object) -> SpecError:
    """Say that a finding stops the container; `where` is a JSON path, `values` fill the message's places.

    The catalogue is read here, when something is refused, and never before.
    """
    from . import findings

    finding = findings.get(id_)
    return SpecError(where, finding.message.format(**values), finding.remedy, id_)


def host(id_: str, remedy: str = "", /, **values: object) -> HostError:
    """Say that a finding about the host stops the container; `remedy` where a better one is known."""
    from . import findings

    finding = findings.get(id_)
    return HostError("", finding.message.format(**values), remedy or finding.remedy, id_)


def without_proc() -> HostError | None:
    """Say that there is no /proc for this process, where that is so."""
    if os.path.exists("/proc/self/fd"):
        return None
    why = "no proc file system of this PID namespace is mounted there"
    return HostError("/proc", why, "mount -t proc proc /proc")
