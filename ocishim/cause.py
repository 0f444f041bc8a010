"""Why an overlay does not work, pure: what failed in its trial or at its mount in, a finding out."""

import os
from errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    EIO,
    ELOOP,
    ENODEV,
    ENOENT,
    ENOSPC,
    ENOSYS,
    ENOTEMPTY,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    EREMOTE,
    EROFS,
    ESTALE,
    EXDEV,
)

from . import filesystems, findings
from .errors import HostError, MountError, ShimError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidate import Candidate
    from .probe.here import Here
    from .probe.layer import Layer
    from .step import Step

#: What an operation of a trial is to a person.
OPERATIONS = {
    "read": "reading a file",
    "write": "writing to a lower file",
    "chmod": "chmod of a lower file",
    "whiteout": "deleting a lower file",
    "opaque": "rm -r of a lower directory and mkdir in its place",
    "move": "renaming a lower file",
    "rename": "renaming a new directory",
    "create": "creating a file in a lower directory",
    "xattr": "setting a user xattr",
}


def of_trial(
    step: "Step", backend: str, failed: "Sequence[tuple[str, int, str]]", said: str, here: "Here"
) -> MountError:
    """Say what failed in the trial of an overlay, and why; `said` is the kernel's log of that time."""
    page, layer = _page(step, backend, failed, said, here)
    told: dict[str, str] = {}
    for name, errno, path in failed:
        told.setdefault(f"{words(errno).partition(',')[0]} from {OPERATIONS[name]}", path)
    list_ = "; ".join(f"{what}{f' ({path})' if path else ''}" for what, path in list(told.items())[:3])
    why = f"{_message(page, layer, step, here)} [tried: {list_}]" if page else f"it mounts, then {list_}"
    if said:
        why += f" (kernel log: {said})"
    return MountError(step.mount.where, why, findings.get(page).remedy if page else "", page)


def _page(
    step: "Step", backend: str, failed: "Sequence[tuple[str, int, str]]", said: str, here: "Here"
) -> "tuple[str, Layer]":
    errors = {name: errno for name, errno, _ in reversed(failed)}
    upper = step.written[-1] if step.written else step.read[0]
    sampled = [path for _, _, path in failed if path]
    lower = next(
        (layer for layer in step.read if any(_is_below(path, layer) for path in sampled)), step.read[0]
    )
    if len(sampled) == len(failed):  # all that was laid into a scratch layer works
        errnos = {errno for _, errno, _ in failed}
        if step.mount.idmap and errnos & {EOVERFLOW, EACCES, EPERM}:
            return "OVL-UNS-15", lower
        return _page_of_lower(lower, backend, errnos, errors, said, here), lower
    if backend == "fuse":
        return ("OVL-FUS-07" if EOPNOTSUPP in errors.values() else ""), lower
    if ENOSPC in errors.values():
        return "OVL-UPP-12", upper
    if step.mount.lsm and not here.is_initial and EACCES in errors.values():
        return "OVL-SEL-01", upper
    if errors.get("opaque") == ENOTEMPTY or errors.get("whiteout") == EEXIST:
        return "OVL-UPP-04", upper
    if errors.get("move") == EINVAL or "RENAME_WHITEOUT" in said:
        return "OVL-UPP-01", upper
    if errors.get("opaque") in (EIO, EEXIST) or errors.get("rename") == EXDEV:
        return "OVL-UPP-05", upper
    return "", upper


def _page_of_lower(
    layer: "Layer", backend: str, errnos: set[int], errors: dict[str, int], said: str, here: "Here"
) -> str:
    if backend == "fuse" and errnos & {EOPNOTSUPP, ENOSYS}:
        return "OVL-FUS-07" if EOPNOTSUPP in errnos else "OVL-LOW-12"
    if EREMOTE in errnos or "casefold" in said:
        return "OVL-LOW-26"
    if EOVERFLOW in errnos or (not here.is_initial and EACCES in errnos):
        return "OVL-UNS-01"
    if layer.magic == filesystems.HOSTFS and errors.get("read") == ENOENT:
        return "OVL-LOW-27"
    if layer.magic == filesystems.NFS and errors.get("create") == EACCES and _release() < (5, 7):
        return "OVL-LOW-08"
    if layer.magic == filesystems.FUSE and "read" not in errors:
        return "OVL-LOW-04"
    if EOPNOTSUPP in errnos:
        return "OVL-LOW-09"
    if ENOSPC in errnos:
        return "OVL-LOW-25"
    return ""


def of_mount(
    step: "Step", by: "Candidate", errno: int, here: "Here", mount_points: "Sequence[str]" = ()
) -> str:
    """Find the page for a refused mount of which the kernel said no more than an errno, "" for none."""
    if by.backend == "fuse":
        return ""
    upper = step.written[-1].magic if step.written else 0
    lowers = {layer.magic for layer in step.read}
    if errno == EPERM:
        return "OVL-KRN-15" if here.is_initial else "OVL-KRN-02"
    if errno in _BY_ERRNO:
        return _BY_ERRNO[errno]
    if errno != EINVAL:
        return ""
    for magics, page in _BY_UPPER:
        if upper in magics:
            return page
    for magics, page in _BY_LOWER:
        if lowers & {*magics}:
            return page
    if "userxattr" in by.options and _release() < (5, 11):
        return "OVL-KRN-03"
    if "volatile" in by.options and _release() < (5, 10):
        return "OVL-KRN-04"
    if step.data:
        return "OVL-OPT-08"
    is_locked = not here.is_initial and any(_inside(layer, mount_points) for layer in step.layers)
    return "OVL-LOW-02" if is_locked else ""


def told(step: "Step", page: str, said: str, mount_points: "Sequence[str]") -> str:
    """Say a refused mount in the words of its finding, "" where not all that they name is known."""
    layer = _culprit(step, page, mount_points)
    if not layer:
        return ""
    inside = _inside(layer, mount_points)
    values: dict[str, object] = {
        "role": layer.role,
        "path": layer.path,
        "fs": filesystems.name(layer.magic),
        "kernel": os.uname().release,
    }
    special: dict[str, dict[str, object]] = {
        "OVL-KRN-13": {"count": len(mount_points), "sysctl": "fs.mount-max", "limit": "no more"},
        "OVL-KRN-15": {"uid": os.geteuid()},
        "OVL-LOW-02": {"other": ", ".join(inside[:3])} if inside else {},
        "OVL-OPT-08": {"option": "metacopy=on"},
        "OVL-OPT-13": {"other": "another overlay"},
        "OVL-OPT-15": {"other": f"lowerdir={':'.join(step.lower)}"},
        "OVL-UPP-03": {"value": _lacking(said)},
    }
    try:
        return findings.get(page).message.format_map(values | special.get(page, {}))
    except KeyError:
        return ""


def _culprit(step: "Step", page: str, mount_points: "Sequence[str]") -> "Layer | None":
    """Find the layer that a page is about, None where it is about none of these."""
    if page == "OVL-LOW-02":
        return next((layer for layer in step.layers if _inside(layer, mount_points)), None)
    if page == "OVL-OPT-08":
        return next((layer for layer in step.read if layer.role == "datadir"), None)
    if page == "OVL-FUS-06":
        return next((layer for layer in step.layers if layer.magic == filesystems.FUSE), None)
    for magics, known in (*_BY_UPPER, *_BY_LOWER):
        if known == page:
            return next((layer for layer in step.layers if layer.magic in magics), None)
    return step.layers[0]


def _inside(layer: "Layer", mount_points: "Sequence[str]") -> list[str]:
    """Give the mounts that lie inside a layer."""
    return [point for point in mount_points if _is_below(point, layer)]


def _lacking(said: str) -> str:
    missing = [name for name in ("d_type", "RENAME_WHITEOUT", "xattr") if name in said]
    return " and ".join(missing) or "one of these"


def mount_points() -> list[str]:
    """Give all mount points of this namespace."""
    from .mountinfo import parse

    with open("/proc/self/mountinfo", "rb") as file:
        return [mount.mount_point for mount in parse(file.read().decode("utf-8", "surrogateescape"))]


_BY_ERRNO = {
    ENODEV: "OVL-KRN-01",
    ELOOP: "OVL-OPT-12",
    ESTALE: "OVL-OPT-15",
    EBUSY: "OVL-OPT-13",
    EREMOTE: "OVL-LOW-26",
    ENOSPC: "OVL-KRN-13",
    EROFS: "OVL-UPP-14",
}
_BY_UPPER: "tuple[tuple[tuple[int, ...], str], ...]" = (
    ((filesystems.NFS,), "OVL-UPP-08"),
    (filesystems.SHARES, "OVL-UPP-09"),
    (filesystems.WITHOUT_XATTRS, "OVL-UPP-10"),
    ((filesystems.OVERLAY,), "OVL-UPP-02"),
    ((filesystems.FUSE,), "OVL-UPP-03"),
)
_BY_LOWER: "tuple[tuple[tuple[int, ...], str], ...]" = (
    (filesystems.FORBIDDEN, "OVL-LOW-23"),
    ((filesystems.OVERLAY,), "OVL-KRN-08"),
    (filesystems.WITHOUT_XATTRS, "OVL-LOW-01"),
)


def _release() -> tuple[int, ...]:
    """Give the kernel's version: a hint, for words about what has failed already."""
    parts = os.uname().release.split("-")[0].split(".")
    return tuple(int(part) for part in parts[:2] if part.isdecimal())


def _message(page: str, layer: "Layer", step: "Step", here: "Here") -> str:
    values = {
        "role": layer.role,
        "path": layer.path,
        "fs": filesystems.name(layer.magic),
        "kernel": os.uname().release,
        "option": "trusted.overlay.*" if here.is_initial else "user.overlay.*",
        "value": _VALUES.get(page, ", ".join(step.mount.lsm.values())),
    }
    return findings.get(page).message.format_map(values)


#: What the message of a page is filled with; of OVL-SEL-01 it is the mount's label.
_VALUES = {"OVL-UNS-15": "other ids", "OVL-UPP-12": "too little"}


def _is_below(path: str, layer: "Layer") -> bool:
    return path.startswith(layer.path.rstrip("/") + "/")


def explain(
    step: "Step", by: "Candidate", error: MountError | HostError, said: str, here: "Here"
) -> ShimError:
    """Add to a refusal what the kernel logged, and the page that explains it."""
    if not isinstance(error, MountError):
        return error
    if error.page or said in error.why:
        said = ""
    log = f" (kernel log: {said})" if said else ""
    what, why, remedy, page = error.what, error.why, error.remedy, error.page
    if not page:
        # The kernel's log comes last: others on this machine are in it, too.
        known = findings.recognise(why)
        points = mount_points()
        page = known.id if known else of_mount(step, by, error.errno, here, points)
        if not page:
            known = findings.recognise(log)
            page = known.id if known else ""
        message = told(step, page, f"{why}{log}", points) if page else ""
        if message:
            what, why, remedy = step.mount.where, f"{message} [{why}]", ""
        remedy = remedy or (findings.get(page).remedy if page else "")
    return MountError(what, why + log, remedy, page, error.errno)


def of_all(step: "Step", refusals: "Sequence[ShimError]") -> MountError:
    """Make one error of what each backend said."""
    first, *others = refusals
    why = first.why
    for other in others:
        if other.why == first.why:
            continue
        on = "" if other.what.startswith(step.mount.where) or not other.what else f"{other.what}: "
        page = f" ({other.page})" if other.page not in ("", first.page) else ""
        why += f"; nor by fuse-overlayfs: {on}{other.why}{page}"
    remedy = first.remedy or ("" if first.page else "dmesg may say more")
    what = first.what if first.what.startswith(step.mount.where) else f"{step.mount.where}: {first.what}"
    return MountError(what.removesuffix(": "), why, remedy, first.page)
