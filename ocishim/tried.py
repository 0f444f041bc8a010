"""What attempts and trials of the facts mean, each as one line of a report. Pure."""

from dataclasses import replace  # noqa: TID253 - nothing hot loads this

from . import findings
from .probe.facts import Attempt, Facts, Trial
from .report import NO, OK, UNSURE, Line, no, unsure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: What an operation of a trial is to a person.
OPERATIONS = {
    "read": "reading",
    "write": "writing to a lower file",
    "whiteout": "deleting a lower file",
    "opaque": "rm -r of a lower directory and mkdir in its place",
    "rename": "renaming a new directory",
    "xattr": "setting a user xattr",
}


def line(attempt: Attempt, what: str, page: str = "") -> Line:
    """Judge one attempt."""
    if attempt.result == "yes":
        return Line(OK, what)
    if attempt.result == "no":
        return no(what, why(attempt), page)
    return Line(UNSURE, what, attempt.said or "not tried")


def why(attempt: Attempt) -> str:
    """Say why not: errno, the step that failed, the kernel's words."""
    told = f"{attempt.errno} from {attempt.step}" if attempt.errno else ""
    return ": ".join(part for part in (told, attempt.said) if part) or "refused"


def whole(facts: Facts, trial: Trial, what: str) -> Line:
    """Judge a whole overlay: its mount, then what was done to it."""
    if trial.mount.result == "no":
        if "chroot" in trial.mount.said:
            return Line(NO, what, why(trial.mount), "bind the root directory onto itself before the chroot")
        page = ""
        known = findings.recognise(trial.mount.said) if trial.mount.said else None
        if known:
            page = known.id
        elif trial.mount.errno == "ENODEV":
            page = "OVL-KRN-01"
        elif trial.mount.errno == "EINVAL" and trial.userxattr:
            page = "OVL-KRN-03"
        elif trial.mount.errno == "EPERM":
            is_inside = trial.where == "userns" or not facts.userns.by_uid_map
            page = "OVL-KRN-02" if is_inside else "OVL-KRN-15"
        return no(what, why(trial.mount), page)
    failures = failed(facts, trial.operations)
    if not failures:
        return line(trial.mount, what)
    then = f"mounts, then {'; '.join(failures)}"
    if trial.userxattr and facts.userns.tmpfs_xattr is False:
        return unsure(what, f"{then}: tmpfs has no user xattrs here, a disk may", "OVL-UPP-05")
    return no(what, then, "OVL-UPP-05")


def failed(facts: Facts, operations: "Mapping[str, str]") -> list[str]:
    """Name what failed; that tmpfs has no user xattrs is nothing against the overlay."""
    return [
        f"{errno} from {OPERATIONS.get(name, name)}"
        for name, errno in operations.items()
        if errno and (name != "xattr" or facts.userns.tmpfs_xattr is not False)
    ]


def may_mount(facts: Facts) -> bool:
    """Tell whether ocishim mounts as it is: else it makes a user namespace first."""
    return facts.process.uid == 0 and "CAP_SYS_ADMIN" in facts.process.capabilities


def trial(facts: Facts, where: str, *, userxattr: bool = False) -> Trial:
    """Find a trial, or one of which nothing is known."""
    for each in facts.trials:
        if (each.where, each.userxattr) == (where, userxattr):
            return each
    return Trial(where, userxattr, Attempt("unknown"), {})


def no_right(facts: Facts, what: str) -> Line:
    """Say that this process may not mount, and may make no user namespace to do it in."""
    found = no(what, f"uid {facts.process.uid} has no CAP_SYS_ADMIN here", "OVL-KRN-15")
    return replace(found, remedy="run ocishim as root") if facts.process.uid else found
