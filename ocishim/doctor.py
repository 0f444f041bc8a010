"""What the facts of a host mean: what works there, what does not and why, what to do. Pure."""

from dataclasses import replace  # noqa: TID253 - nothing hot loads this

from . import findings
from .probe.facts import Attempt, Facts, Trial
from .report import NO, OK, UNSURE, Line, Report, Verdict, no, unsure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Why an option of overlay fails: the page by errno, or by option where the errno says too little.
_PAGES = {"EPERM": "OVL-OPT-23", "EINVAL": "OVL-OPT-25", "": "OVL-OPT-22"}
_PAGES_OF = {
    "lowerdir+": "OVL-KRN-19",
    "descriptors": "OVL-KRN-19",
    "userxattr": "OVL-KRN-03",
    "volatile": "OVL-KRN-04",
}
_WHAT = {
    "lowerdir+": "layers one by one (lowerdir+)",
    "descriptors": "layers as descriptors",
    "data-only": "data-only lower layers",
}
#: What an operation of a trial is to a person.
OPERATIONS = {
    "read": "reading",
    "write": "writing to a lower file",
    "whiteout": "deleting a lower file",
    "opaque": "rm -r of a lower directory and mkdir in its place",
    "rename": "renaming a new directory",
    "xattr": "setting a user xattr",
}
#: The first release without the faults that OVL-FUS-05 lists.
_GOOD_FUSE = (1, 16)


def judge(facts: Facts) -> Report:
    """Say what the facts of a host mean."""
    return Report(
        {
            "Kernel": tuple(_kernel(facts)),
            "Overlayfs": tuple(_overlayfs(facts)),
            "User namespaces": tuple(_userns(facts)),
            "FUSE": tuple(_fuse(facts)),
            "Runtimes": tuple(_runtimes(facts)),
        },
        tuple(_verdicts(facts)),
    )


def _kernel(facts: Facts) -> "Iterator[Line]":
    yield Line(OK, f"Linux {facts.kernel.release}, {facts.kernel.machine}")
    api = facts.kernel.new_mount_api
    if api.result == "no":
        yield no("new mount API", f"{_why(api)}: mount(2) is used", "OVL-KRN-14")
    else:
        yield _line(api, "new mount API")
    if "CAP_SYS_ADMIN" in facts.process.capabilities:
        yield Line(OK, f"uid {facts.process.uid} with {', '.join(facts.process.capabilities)}")
    else:
        yield _no_right(facts, "the right to mount")


def _overlayfs(facts: Facts) -> "Iterator[Line]":
    overlay = facts.overlay
    if overlay.registered or _trial(facts, "here").mount.result == "yes":
        yield Line(OK, "file system overlay")
    elif overlay.module:
        yield Line(
            UNSURE, "file system overlay", f"not registered; {overlay.module} is there and a mount loads it"
        )
    else:
        yield no("file system overlay", "neither in /proc/filesystems nor below /lib/modules", "OVL-KRN-01")
    if overlay.parameters:
        told = ", ".join(f"{name}={value}" for name, value in overlay.parameters.items())
        yield Line(OK, f"parameters of the module: {told}")
    usual = overlay.options.get("overlay", Attempt("unknown"))
    place = " in a user namespace" if overlay.tried == "userns" else ""
    yield _line(usual, f"an overlay of two lower layers and an upper one{place}", "OVL-KRN-01")
    for name, attempt in overlay.options.items():
        if name == "overlay" or name == "data-only, metacopy=on" or usual.result != "yes":
            continue
        what = _WHAT.get(name, name)
        page = _PAGES_OF.get(name) or _PAGES.get(attempt.errno, "")
        if name == "data-only" and attempt.result == "no" and attempt.errno != "EPERM":
            page = "OVL-OPT-08"
            if overlay.options.get("data-only, metacopy=on") == Attempt("yes"):
                yield unsure(what, "with metacopy=on only", page)
                continue
            yield replace(_line(attempt, what, page), remedy="take a kernel from 6.5 on")
            continue
        yield _line(attempt, what, page)
    for trial in facts.trials:
        if trial.where == "here" and not trial.userxattr and trial.mount.result == "yes":
            yield _whole(facts, trial, "a container's work on it")


def _userns(facts: Facts) -> "Iterator[Line]":
    userns = facts.userns
    told = {"inode": userns.by_inode, "uid_map": userns.by_uid_map}
    if userns.by_xattr is not None:
        told["trusted xattrs"] = userns.by_xattr
    said = ", ".join(f"{name} {'yes' if value else 'no'}" for name, value in told.items())
    if len(set(told.values())) > 1:
        yield unsure("this is the initial user namespace", f"the signs disagree: {said}", "OVL-UNS-05")
    elif userns.by_uid_map:
        yield Line(OK, f"this is the initial user namespace ({said})")
    else:
        yield no("this is the initial user namespace", said, "OVL-UNS-05")
    yield _ordinary(facts)
    if userns.make.result == "yes":
        for trial in facts.trials:
            if trial.where == "userns":
                option = "with userxattr" if trial.userxattr else "without userxattr"
                yield _whole(facts, trial, f"an overlay made in one, {option}")


def _ordinary(facts: Facts) -> Line:
    """Judge whether an ordinary user can make a user namespace, and name the switch that forbids it."""
    userns, what = facts.userns, f"uid {facts.userns.tried_as} can make one and mount in it"
    if userns.make.result != "no":
        return _line(userns.make, what)
    for name, value in userns.sysctls.items():
        page = {
            "kernel.unprivileged_userns_clone": "OVL-KRN-11" if value == 0 else "",
            "user.max_user_namespaces": "OVL-KRN-12" if value == 0 or userns.make.errno == "ENOSPC" else "",
            "kernel.apparmor_restrict_unprivileged_userns": "OVL-KRN-10" if value == 1 else "",
        }.get(name)
        if page:
            return no(what, f"{name}={value} ({_why(userns.make)})", page)
    return no(what, _why(userns.make), "OVL-KRN-15")


def _fuse(facts: Facts) -> "Iterator[Line]":
    fuse = facts.fuse
    if fuse.registered:
        yield Line(OK, "file system fuse")
    elif fuse.module:
        yield Line(UNSURE, "file system fuse", f"not registered; {fuse.module} is there", "modprobe fuse")
    else:
        yield no("file system fuse", "neither in /proc/filesystems nor below /lib/modules", "OVL-FUS-01")
    if fuse.device:
        line = no("/dev/fuse", f"{fuse.device} from open", "OVL-FUS-01")
        is_private = fuse.device == "EACCES" and facts.process.uid
        yield replace(line, remedy="run ocishim as root, or let its user open it") if is_private else line
    else:
        yield Line(OK, "/dev/fuse")
        yield _line(fuse.mount, "mounting it")
    if not fuse.program:
        yield no("fuse-overlayfs", "neither in PATH nor where the settings say", "OVL-FUS-04")
        return
    number = fuse.version.rpartition(" ")[2]
    parts = tuple(int(part) for part in number.split(".") if part.isdecimal())
    if not parts:
        yield Line(
            UNSURE, f"{fuse.program}", "it did not tell its version in time", f"{fuse.program} --version"
        )
    elif parts < _GOOD_FUSE:
        yield unsure(f"{fuse.program} {number}", "a release with known faults", "OVL-FUS-05")
    else:
        yield Line(OK, f"{fuse.program} {number}")


def _runtimes(facts: Facts) -> "Iterator[Line]":
    for runtime in facts.runtimes:
        if runtime.problem:
            yield no(runtime.name, runtime.problem, "OVL-RUN-09")
        elif not runtime.version:
            yield Line(
                UNSURE, runtime.path, "it did not tell its version in time", f"{runtime.path} --version"
            )
        else:
            number = runtime.version.partition(" version ")[2] or runtime.version
            kind = "" if runtime.kind == runtime.name else f" (a {runtime.kind})"
            yield Line(OK, f"{runtime.name}: {runtime.path}{kind}, {number}")


def _verdicts(facts: Facts) -> "Iterator[Verdict]":
    kernel = _by_kernel(facts)
    fuse = _by_fuse(facts)
    yield Verdict(kernel)
    yield Verdict(_by_ordinary(facts), counts=False)
    yield Verdict(fuse)
    is_any = any(not runtime.problem for runtime in facts.runtimes)
    for runtime in facts.runtimes:
        what = f"under {runtime.name}"
        if runtime.problem:
            yield Verdict(no(what, runtime.problem, "OVL-RUN-09"), counts=not is_any)
        elif kernel.mark == fuse.mark == NO:
            yield Verdict(Line(NO, what, "neither the kernel nor fuse-overlayfs can mount an overlay"))
        else:
            ways = [
                way for way, line in (("the kernel", kernel), ("fuse-overlayfs", fuse)) if line.mark != NO
            ]
            yield Verdict(Line(OK, f"{what}: by {' or by '.join(ways)}"))


def _by_kernel(facts: Facts) -> Line:
    what = "as root by the kernel"
    plain, with_userxattr = _trial(facts, "here"), _trial(facts, "here", userxattr=True)
    if "CAP_SYS_ADMIN" not in facts.process.capabilities:
        return _no_right(facts, what)
    if not _failed(facts, plain) and plain.mount.result == "yes":
        return Line(OK, f"{what}: work")
    if plain.mount.result == with_userxattr.mount.result == "yes" and not _failed(facts, with_userxattr):
        return unsure(f"{what}: work with userxattr", "this is no initial user namespace", "OVL-UPP-05")
    return _whole(facts, plain, what)


def _by_ordinary(facts: Facts) -> Line:
    what = "in an ordinary user's user namespace by the kernel"
    made = _ordinary(facts)
    if made.mark != OK:
        return Line(made.mark, what, made.why, made.remedy, made.page)
    judged = _whole(facts, _trial(facts, "userns", userxattr=True), what)
    return Line(OK, f"{what}: work with userxattr") if judged.mark == OK else judged


def _by_fuse(facts: Facts) -> Line:
    what = "by fuse-overlayfs"
    if "CAP_SYS_ADMIN" not in facts.process.capabilities:
        return _no_right(facts, what)
    plain = _trial(facts, "here")
    if plain.mount.result == NO and facts.overlay.tried != "here":
        return _whole(facts, plain, what)  # not even a mount namespace of its own
    for line in _fuse(facts):
        if line.mark == NO:
            why = line.why if line.what in line.why else f"{line.what}: {line.why}"
            return Line(NO, what, why, line.remedy, line.page)
    if facts.fuse.mount.result != "yes":
        return Line(UNSURE, what, "not tried")
    return Line(OK, f"{what}: all that it needs is here")


def _whole(facts: Facts, trial: Trial, what: str) -> Line:
    """Judge a whole overlay: its mount, then what was done to it."""
    if trial.mount.result == "no":
        if "chroot" in trial.mount.said:
            return Line(NO, what, _why(trial.mount), "bind the root directory onto itself before the chroot")
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
        return no(what, _why(trial.mount), page)
    failed = _failed(facts, trial)
    if not failed:
        return _line(trial.mount, what)
    why = f"mounts, then {'; '.join(failed)}"
    if trial.userxattr and facts.userns.tmpfs_xattr is False:
        return unsure(what, f"{why}: tmpfs has no user xattrs here, a disk may", "OVL-UPP-05")
    return no(what, why, "OVL-UPP-05")


def _failed(facts: Facts, trial: Trial) -> list[str]:
    """Name what failed; that tmpfs has no user xattrs is nothing against the overlay."""
    return [
        f"{errno} from {OPERATIONS.get(name, name)}"
        for name, errno in trial.operations.items()
        if errno and (name != "xattr" or facts.userns.tmpfs_xattr is not False)
    ]


def _trial(facts: Facts, where: str, *, userxattr: bool = False) -> Trial:
    for trial in facts.trials:
        if (trial.where, trial.userxattr) == (where, userxattr):
            return trial
    return Trial(where, userxattr, Attempt("unknown"), {})


def _no_right(facts: Facts, what: str) -> Line:
    line = no(what, f"uid {facts.process.uid} has no CAP_SYS_ADMIN here", "OVL-KRN-15")
    return replace(line, remedy="run ocishim as root") if facts.process.uid else line


def _line(attempt: Attempt, what: str, page: str = "") -> Line:
    if attempt.result == "yes":
        return Line(OK, what)
    if attempt.result == "no":
        return no(what, _why(attempt), page)
    return Line(UNSURE, what, attempt.said or "not tried")


def _why(attempt: Attempt) -> str:
    """Say why not: errno, the step that failed, the kernel's words."""
    told = f"{attempt.errno} from {attempt.step}" if attempt.errno else ""
    return ": ".join(part for part in (told, attempt.said) if part) or "refused"
