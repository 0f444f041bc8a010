"""A bundle's overlays in full: what lies under each layer, and how each backend fared in a trial.

More than a container's start needs; `ocishim doctor BUNDLE` shows it.
"""

import errno
import os
from dataclasses import asdict  # noqa: TID253 - nothing hot loads this

from .. import filesystems, patience, plan, prepare
from ..candidate import Candidate
from ..errors import ShimError, words
from ..layers import check_writers
from ..mountinfo import Mount, parse
from ..step import Step
from . import abilities, contents, here, marks, room, selinux
from .facts import typed
from .overlays import BundleFacts, CandidateFacts, LayerFacts, MountFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..idmap import Namespace
    from ..overlay import OverlayMount
    from ..patience import Tell
    from ..settings import Settings
    from .layer import Layer

#: How many directory entries are looked at for marks: a second's work.
_ENTRIES = 200_000
#: How long is looked for hard links in all lower layers of an overlay: seconds.
_LINKED = 1.0


def look(
    found: "Bundle",
    mounts: "list[OverlayMount]",
    settings: "Settings",
    mode: str,
    kind: str,
    namespace: "Namespace | None" = None,
) -> BundleFacts:
    """Look at all overlays of a bundle; `mode` says who may mount them, `kind` is the runtime's.

    `namespace` is the user namespace that was entered for it.
    """
    refused, surveyed, steps = _NOTHING, [], []
    try:
        prepare.label(found.spec, mounts)
        forced = plan.forced(found.spec, mounts)
    except ShimError as e:
        forced, refused = {}, _told(e)
    for mount in mounts:
        step, facts = _look_at(found, mount, settings, forced.get(mount.destination, mode), kind)
        surveyed.append(facts)
        steps += [step] if step else []
    try:
        check_writers(steps)
    except ShimError as e:
        refused = _told(e)
    zfs, is_initial = _version_of_zfs(), here.look().is_initial
    told = tuple(namespace.describe()) if namespace else ()
    confined = _label_of_processes(found.spec) if selinux.is_enforcing() else ""
    return BundleFacts(found.directory, kind, zfs, is_initial, tuple(surveyed), *refused, told, confined)


_NOTHING = ("", "", "")


def _look_at(
    found: "Bundle", mount: "OverlayMount", settings: "Settings", mode: str, kind: str
) -> tuple[Step | None, MountFacts]:
    this = here.look()
    step, backend, refused = None, "", _NOTHING
    layers: list[Layer] = []
    try:
        [(layers, marked)] = prepare.look([mount], found.directory, this)
        [step] = plan.make([mount], [(layers, marked)], this, mode, None, kind)
        [backend] = prepare.rehearse(settings, prepare.Preparation([step], this))
    except ShimError as e:
        refused = _told(e)
    try:
        details = patience.ask(lambda tell: _details(mount, layers, step, tell))
        looked = tuple(typed(LayerFacts, each, "layer") for each in details["layers"])
        all_seen = bool(details["all_seen"])
    except (ShimError, OSError):  # it hangs: that is said above
        looked, all_seen = (), False
    return step, MountFacts(
        mount.where,
        mount.destination,
        mount.read_only,
        looked,  # type: ignore[arg-type]  # typed() gives what it is asked for
        tuple(_candidate(each) for each in step.candidates) if step else (),
        backend,
        *refused,
        all_seen,
        mount.lsm.get("context", ""),
        tuple(mount.flags),
    )


def _told(error: ShimError) -> tuple[str, str, str]:
    return f"{error.what}: {error.why}", error.remedy, error.page


def _candidate(each: Candidate) -> CandidateFacts:
    why = each.rejected
    told = (why.why, why.remedy, why.page) if why else _NOTHING
    return CandidateFacts(each.backend, tuple(each.words), dict(each.added), *told)


def _details(
    mount: "OverlayMount", layers: "list[Layer]", step: Step | None, tell: "Tell"
) -> dict[str, object]:
    marked, all_seen = marks.look(layers, here.look().is_initial, _ENTRIES) if step else ([], True)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        table = list(parse(file.read()))
    found, seconds = [], _LINKED / max(len(mount.lower), 1)
    for layer in layers:
        tell(f"{mount.where}: {layer.role}={layer.path}")
        its = tuple(f"{mark.name} in {mark.path}" for mark in marked if _is_in(mark.path, layer.path))
        links = contents.hard_links(layer, seconds) if step and layer.role == "lowerdir" else 0
        found.append(_plain(asdict(_layer(layer, table, its, step, links))))
    return {"layers": found, "all_seen": all_seen}


def _plain(fields: dict[str, object]) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _layer(
    layer: "Layer", table: list[Mount], marked: tuple[str, ...], step: Step | None, links: int
) -> LayerFacts:
    if layer.errno:
        problem = words(layer.errno)
        return LayerFacts(
            layer.role, layer.written, layer.path, problem, "", "", "", "", "", "", False, -1, -1, False,
            False, False, "", -1, (), (), {},
        )  # fmt: skip
    mount = _mount_of(layer, table)
    space = os.statvfs(layer.path)
    found = os.stat(layer.path)
    return LayerFacts(
        layer.role,
        layer.written,
        layer.path,
        "",
        filesystems.name(layer.magic),
        mount.fstype if mount else "",
        mount.source if mount else "",
        mount.mount_point if mount else "",
        mount.options if mount else "",
        mount.super_options if mount else "",
        bool(space.f_flag & os.ST_RDONLY),
        space.f_bavail * space.f_frsize if space.f_blocks else -1,
        space.f_favail if space.f_files else -1,
        layer.magic == filesystems.BTRFS and layer.inode == 256,
        _ignores_case(layer.path),
        layer.has_acl,
        abilities.file_handles(layer.path),
        found.st_uid,
        tuple(
            each.mount_point for each in table if _is_in(each.mount_point, layer.path) and each is not mount
        ),
        marked,
        _abilities(layer) if step and layer.role == "workdir" else {},
        mount.device if mount else "",
        contents.uuid(layer.path),
        contents.label(layer.path),
        step.writers.get(layer.path, "") if step else "",
        links,
        errno.errorcode.get(layer.idmap_errno, ""),
        layer.mount,
        layer.unmapped,
    )


def _abilities(work: "Layer") -> dict[str, str]:
    import time

    for _ in range(20):
        try:
            return room.in_scratch(work, abilities.of, is_locked=False)
        except BlockingIOError:  # the trial that was before lets go of it with its last mount
            time.sleep(0.05)
        except OSError:
            break
    return {}


def _mount_of(layer: "Layer", table: list[Mount]) -> Mount | None:
    """Find the mount of a layer: the last one of the longest mount point above it."""
    above = [mount for mount in table if _is_in(layer.path, mount.mount_point)]
    return max(above, key=lambda mount: (len(mount.mount_point), table.index(mount)), default=None)


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _ignores_case(path: str) -> bool:
    """Tell whether a directory has FS_CASEFOLD_FL (FS_IOC_GETFLAGS)."""
    import fcntl

    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return bool(int.from_bytes(fcntl.ioctl(file, 0x80086601, bytes(8)), "little") & 0x40000000)
    except OSError:
        return False
    finally:
        os.close(file)


def _label_of_processes(spec: dict[str, object]) -> str:
    process = spec.get("process")
    label = process.get("selinuxLabel") if isinstance(process, dict) else None
    return label if isinstance(label, str) else ""


def _version_of_zfs() -> str:
    try:
        with open("/sys/module/zfs/version", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
