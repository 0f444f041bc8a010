"""What the facts of a host mean: what works there, what does not and why, what to do. Pure."""

from dataclasses import replace  # noqa: TID253 - nothing hot loads this

from . import installed, tried, verdicts
from .probe.denied import SWITCHES
from .probe.facts import Attempt, Facts
from .report import NO, OK, UNSURE, Line, Report, no, unsure

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


def judge(facts: Facts) -> Report:
    """Say what the facts of a host mean."""
    fuse = tuple(_fuse(facts))
    return Report(
        {
            "Kernel": tuple(_kernel(facts)),
            "Overlayfs": tuple(_overlayfs(facts)),
            "User namespaces": tuple(_userns(facts)),
            "FUSE": fuse,
            "Runtimes": tuple(installed.runtimes(facts.runtimes)),
        },
        tuple(verdicts.judge(facts, _ordinary(facts), fuse)),
        f"Linux {facts.kernel.release}, {facts.kernel.machine}",
    )


def _kernel(facts: Facts) -> "Iterator[Line]":
    yield Line(OK, f"Linux {facts.kernel.release}, {facts.kernel.machine}")
    if facts.kernel.is_gvisor:
        yield unsure(
            "this is a gVisor sandbox", "its overlay is not Linux' and lacks parts of it", "OVL-KRN-17"
        )
    api = facts.kernel.new_mount_api
    if api.result == "no":
        yield no("new mount API", f"{tried.why(api)}: mount(2) is used", "OVL-KRN-14")
    else:
        yield tried.line(api, "new mount API")
    if tried.may_mount(facts):
        yield Line(OK, f"uid {facts.process.uid} with {', '.join(facts.process.capabilities)}")
    elif facts.userns.make.result == "yes":
        yield Line(OK, f"uid {facts.process.uid}: ocishim makes a user namespace to mount in")
    else:
        yield tried.no_right(facts, "the right to mount")
    yield from _process(facts)


def _process(facts: Facts) -> "Iterator[Line]":
    """Judge what may be in the way of system calls although the kernel has them."""
    process = facts.process
    refused = {facts.kernel.new_mount_api.errno, tried.trial(facts, "here").mount.errno} & {"EPERM", "ENOSYS"}
    if process.seccomp in ("filter", "strict"):
        what = f"seccomp mode {process.seccomp}"
        why = f"{' and '.join(sorted(refused))} may be its doing"
        yield unsure(what, why, "OVL-KRN-14") if refused else Line(OK, f"{what}, which lets mounts through")
    elif process.seccomp:
        yield Line(OK, "no seccomp filter")
    if process.no_new_privs and process.uid:
        why = "setuid helpers (newuidmap, fusermount3) get no privilege"
        yield Line(UNSURE, "no_new_privs is set", why, "start ocishim where it is not set")


def _overlayfs(facts: Facts) -> "Iterator[Line]":
    overlay = facts.overlay
    if overlay.registered or tried.trial(facts, "here").mount.result == "yes":
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
    yield tried.line(usual, f"an overlay of two lower layers and an upper one{place}", "OVL-KRN-01")
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
            yield replace(tried.line(attempt, what, page), remedy="take a kernel from 6.5 on")
            continue
        yield tried.line(attempt, what, page)
    if usual.result == "yes":
        yield tried.line(overlay.idmapped, "idmapped layers", "OVL-UNS-03")
    for trial in facts.trials:
        if trial.where == "here" and not trial.userxattr and trial.mount.result == "yes":
            yield tried.whole(facts, trial, "a container's work on it")


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
    if facts.userns.subids:
        yield Line(OK, f"uid {facts.userns.tried_as} may map {facts.userns.subids} subordinate ids in it")
    elif facts.userns.without:
        yield unsure(f"uid {facts.userns.tried_as} can map one id only", facts.userns.without, "OVL-UNS-12")
    if userns.make.result == "yes":
        for trial in facts.trials:
            if trial.where == "userns":
                option = "with userxattr" if trial.userxattr else "without userxattr"
                yield tried.whole(facts, trial, f"an overlay made in one, {option}")


def _ordinary(facts: Facts) -> Line:
    """Judge whether an ordinary user can make a user namespace, and name the switch that forbids it."""
    userns, what = facts.userns, f"uid {facts.userns.tried_as} can make one and mount in it"
    if userns.make.result != "no":
        return tried.line(userns.make, what)
    for name, forbidding, page in SWITCHES:
        value = userns.sysctls.get(name)
        is_used_up = page == "OVL-KRN-12" and userns.make.errno == "ENOSPC"
        if value is not None and (str(value) == forbidding or is_used_up):
            return no(what, f"{name}={value} ({tried.why(userns.make)})", page)
    return no(what, tried.why(userns.make), "OVL-KRN-15")


def _fuse(facts: Facts) -> "Iterator[Line]":
    fuse = facts.fuse
    if fuse.registered:
        yield Line(OK, "file system fuse")
    elif fuse.module:
        yield Line(
            UNSURE,
            "file system fuse",
            f"not registered; {fuse.module} is there",
            "modprobe fuse",
            is_command=True,
        )
    else:
        yield no("file system fuse", "neither in /proc/filesystems nor below /lib/modules", "OVL-FUS-01")
    if fuse.device:
        line = no("/dev/fuse", f"{fuse.device} from open", "OVL-FUS-01")
        is_private = fuse.device == "EACCES" and facts.process.uid
        yield replace(line, remedy="run ocishim as root, or let its user open it") if is_private else line
    else:
        yield Line(OK, "/dev/fuse")
        yield tried.line(fuse.mount, "mounting it")
    if not fuse.program:
        yield no("fuse-overlayfs", "neither in PATH nor where the settings say", "OVL-FUS-04")
        return
    yield installed.fuse_overlayfs(facts.fuse)
    if "CAP_SYS_ADMIN" in facts.process.capabilities and "CAP_DAC_OVERRIDE" not in facts.process.capabilities:
        yield unsure(
            "the server of a FUSE overlay", "it would lack CAP_DAC_OVERRIDE, as ocishim does", "OVL-FUS-10"
        )
    if fuse.mount.result == "yes":
        yield _served(facts)


def _served(facts: Facts) -> Line:
    """Judge the overlay that fuse-overlayfs served."""
    what, served = "an overlay by fuse-overlayfs", facts.fuse.served
    failed = tried.failed(facts, facts.fuse.operations)
    if served.result == "yes" and failed:
        return no(what, f"starts, then {'; '.join(failed)}", "OVL-FUS-05")
    page = "OVL-FUS-06" if served.errno in ("ENOTCONN", "ECONNABORTED") else ""
    line = tried.line(served, what, page)
    return replace(line, remedy="take another release of it") if line.mark == NO else line
