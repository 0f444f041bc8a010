"""The end of a host's report: which ways there are to mount overlays, and under which runtimes. Pure."""

from . import tried
from .probe.facts import Facts
from .report import NO, OK, UNSURE, Line, Verdict, no

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def judge(facts: Facts, ordinary: Line, fuse_lines: "Sequence[Line]") -> "Iterator[Verdict]":
    """Say by which ways overlays can be mounted here, and under which runtimes.

    `ordinary` judges the user namespace of an ordinary user, `fuse_lines` are the report's on FUSE.
    """
    by_ordinary = _by_ordinary(facts, ordinary)
    is_root = tried.may_mount(facts)
    kernel = _by_kernel(facts) if is_root else by_ordinary
    fuse = _by_fuse(facts, ordinary, fuse_lines)
    yield Verdict(kernel)
    if is_root:
        yield Verdict(by_ordinary, counts=False)
    yield Verdict(fuse)
    where = "here" if is_root else "userns"
    is_any = any(not runtime.problem for runtime in facts.runtimes)
    for runtime in facts.runtimes:
        what = f"under {runtime.name}"
        if runtime.problem:
            yield Verdict(no(what, runtime.problem, "OVL-RUN-09"), counts=not is_any)
        elif kernel.mark == fuse.mark == NO:
            yield Verdict(Line(NO, what, "neither the kernel nor fuse-overlayfs can mount an overlay"))
        else:
            both = (("the kernel", kernel), ("fuse-overlayfs", fuse))
            ways = " or by ".join(way for way, line in both if line.mark != NO)
            mounted = any(trial.mount.result == "yes" for trial in facts.trials if trial.where == where)
            is_sure = OK in (kernel.mark, fuse.mark) or mounted
            mark, why = (OK, "") if is_sure else (UNSURE, "not tried")
            yield Verdict(Line(mark, f"{what}: by {ways}", why))


def _by_kernel(facts: Facts) -> Line:
    what = "as root by the kernel"
    plain, with_userxattr = tried.trial(facts, "here"), tried.trial(facts, "here", userxattr=True)
    if not tried.failed(facts, plain.operations) and plain.mount.result == "yes":
        return Line(OK, f"{what}: work")
    both_mount = plain.mount.result == with_userxattr.mount.result == "yes"
    if both_mount and not tried.failed(facts, with_userxattr.operations):
        return Line(OK, f"{what}: work with userxattr, which ocishim adds in a user namespace")
    return tried.whole(facts, plain, what)


def _by_ordinary(facts: Facts, made: Line) -> Line:
    what = "in an ordinary user's user namespace by the kernel"
    if not tried.may_mount(facts):
        what = "by the kernel, in a user namespace that ocishim makes"
    if made.mark != OK:
        return Line(made.mark, what, made.why, made.remedy, made.page)
    judged = tried.whole(facts, tried.trial(facts, "userns", userxattr=True), what)
    return Line(OK, f"{what}: work with userxattr") if judged.mark == OK else judged


def _by_fuse(facts: Facts, made: Line, lines: "Sequence[Line]") -> Line:
    what = "by fuse-overlayfs"
    if not tried.may_mount(facts):
        what += ", in a user namespace that ocishim makes"
        if made.mark == NO:
            return Line(NO, what, made.why, made.remedy, made.page)
    plain = tried.trial(facts, "here")
    if tried.may_mount(facts) and plain.mount.result == NO and facts.overlay.tried != "here":
        return tried.whole(facts, plain, what)  # not even a mount namespace of its own
    for line in lines:
        if line.mark == NO:
            why = line.why if line.what in line.why else f"{line.what}: {line.why}"
            return Line(NO, what, why, line.remedy, line.page)
    if facts.fuse.served.result != "yes":
        return Line(UNSURE, what, facts.fuse.served.said or "not tried")
    return Line(OK, f"{what}: work")
