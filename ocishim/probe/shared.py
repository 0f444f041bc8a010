"""Whether anybody else can change what a sandbox is about to cache (runsc's exclusive access)."""

import os

from ..errors import SpecError
from ..mountinfo import Mount, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..step import Step

_REMEDY = "run it without exclusive access"


def check(spec: dict[str, object], steps: "Sequence[Step]", bundle: str) -> None:
    """Refuse exclusive access where a layer or a writable bind of the sandbox is shared. Raises SpecError.

    Seen are: two mounts of this spec that overlap, and the overlays and bind mounts of other containers.
    Writers on the host outside of any container cannot be seen.
    """
    own = list(_own(spec, steps, bundle))
    for at, (where, path, _) in enumerate(own):
        for other_where, other, is_written in own[:at]:
            if where != other_where and (is_written or own[at][2]) and _overlap(path, other):
                raise SpecError(where, f"{path} is shared with {other_where}", _REMEDY, "OVL-RUN-03")
    others = _of_others()
    for where, path, is_written in own:
        for pid, other, others_write in others:
            if (is_written or others_write) and _overlap(path, other):
                from .holder import container_of

                raise SpecError(where, f"{path} is shared with {container_of(pid)}", _REMEDY, "OVL-RUN-03")


def _own(spec: dict[str, object], steps: "Sequence[Step]", bundle: str) -> "Iterator[tuple[str, str, bool]]":
    """Find what this sandbox caches: place in the spec, real path, whether the sandbox writes to it."""
    for step in steps:
        for path in (*step.lower, *step.data):
            yield step.mount.where, path, False
        if step.upper:
            yield step.mount.where, step.upper, True
    mounts = spec["mounts"]
    for index, entry in enumerate(mounts if isinstance(mounts, list) else ()):
        words, source = entry.get("options"), entry.get("source")
        said = words if isinstance(words, list) else []
        if isinstance(source, str) and (entry.get("type") == "bind" or "bind" in said or "rbind" in said):
            try:
                path = os.path.realpath(os.path.join(bundle, source))
            except ValueError:  # NUL, half a surrogate pair: no path, and the runtime says so
                continue
            yield f"mounts[{index}]", path, "ro" not in said


def _of_others() -> list[tuple[str, str, bool]]:
    """Find the layers of other mount namespaces' overlays and, by their root, their bind mounts.

    A bind mount's root is a path on its file system; it is one here where that is mounted here.
    """
    found = []
    here = list(parse(_mountinfo("self")))
    seen = {os.readlink("/proc/self/ns/mnt")}
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace in seen:
                continue
            seen.add(namespace)
            text = _mountinfo(pid)
        except OSError:
            continue
        for mount in parse(text):
            if mount.fstype == "overlay":
                upper = mount.super_option("upperdir")
                if upper:
                    found.append((pid, upper, True))
            elif mount.root != "/" and mount.mount_point != mount.root:
                path = _path_here(mount, here)
                found.append((pid, path, "ro" not in mount.options.split(",")))
    return found


def _mountinfo(pid: str) -> str:
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def _path_here(mount: Mount, here: list[Mount]) -> str:
    """Give the path by which this namespace reaches a mount's root; the root itself where none is known."""
    for own in here:
        root = own.root.rstrip("/")
        if own.device == mount.device and f"{mount.root}/".startswith(f"{root}/"):
            return own.mount_point.rstrip("/") + mount.root.removeprefix(root)
    return mount.root


def _overlap(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
