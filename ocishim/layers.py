"""Which layers make no overlay, pure: missing ones, overlapping ones, an upper layer that cannot be one."""

import os
from errno import EACCES

from . import filesystems, refusal
from .errors import SpecError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .probe.layer import Layer
    from .step import Step

#: statfs(2), BTRFS_SUPER_MAGIC.
_BTRFS = 0x9123683E
#: ENOTDIR, ENOTCONN: the other reasons why a directory does not open have one page together.
_PAGES = {20: "OVL-LOW-19", 107: "OVL-FUS-06"}


def check(where: str, layers: "Sequence[Layer]") -> None:
    """Refuse layers that are missing or that lie in one another. Raises SpecError."""
    for layer in layers:
        if layer.errno:
            page = _PAGES.get(layer.errno, "OVL-LOW-21")
            if layer.errno == EACCES and layer.magic == filesystems.FUSE:
                page = "OVL-LOW-05"
            values = {"role": layer.role, "path": layer.path, "errno": words(layer.errno)}
            raise refusal.of(page, where, **values, uid=os.geteuid())
    by_role = {layer.role: layer for layer in layers}
    upper, work = by_role.get("upperdir"), by_role.get("workdir")
    if upper and work:
        for layer in (upper, work):
            if layer.read_only:
                raise refusal.of("OVL-UPP-14", where, role=layer.role, path=layer.path)
            if layer.is_fixed:
                raise refusal.of("OVL-UPP-18", where, role=layer.role, path=layer.path)
            if not layer.may_write:
                raise refusal.of("OVL-UNS-13", where, role=layer.role, path=layer.path, uid=os.geteuid())
        if work.is_marked:
            mark = f"{work.path}/work/incompat/volatile"
            raise refusal.of("OVL-OPT-17", where, path=upper.path, other=mark)
        _check_upper(where, upper, work)
    _check_overlap(where, layers)


def _check_upper(where: str, upper: "Layer", work: "Layer") -> None:
    if upper.device == work.device:
        inside = _relation(work, upper)
        if inside == "is":
            raise refusal.of(
                "OVL-OPT-11", where, role="workdir", path=work.path, value="is", other="upperdir"
            )
        if inside or _relation(upper, work):
            one, other = (work, upper) if inside else (upper, work)
            raise refusal.of(
                "OVL-OPT-11",
                where,
                role=one.role,
                path=one.path,
                value="lies inside",
                other=f"{other.role}={other.path}",
            )
    if upper.device != work.device:
        if upper.magic == work.magic == _BTRFS:
            raise refusal.of("OVL-UPP-07", where, path=upper.path, other=work.path)
        raise refusal.of("OVL-OPT-10", where, path=work.path, other=upper.path, value="file systems")
    if upper.mount != work.mount:
        raise refusal.of(
            "OVL-OPT-10", where, path=work.path, other=upper.path, value="mounts of one file system"
        )


def _check_overlap(where: str, layers: "Sequence[Layer]") -> None:
    """Refuse a lower layer that is another layer or lies in one: the kernel answers ELOOP.

    The other way round is fine: upper and work directories may lie in a lower layer
    (fs/overlayfs/super.c, ovl_check_overlapping_layers).
    """
    same: dict[tuple[int, int], Layer] = {}
    for layer in layers:
        other = same.setdefault((layer.device, layer.inode), layer)
        if other is not layer:
            raise _overlap(where, layer, "is the same directory as", other)
    by_path = {(layer.device, layer.path): layer for layer in layers}
    for layer in layers:
        parent = layer.path if layer.role in ("lowerdir", "datadir") else "/"
        while parent != "/":
            parent = parent.rpartition("/")[0] or "/"
            outer = by_path.get((layer.device, parent))
            if outer:
                raise _overlap(where, layer, "lies inside", outer)


def _overlap(where: str, layer: "Layer", how: str, other: "Layer") -> SpecError:
    return refusal.of(
        "OVL-OPT-12", where, role=layer.role, path=layer.path, value=how, other=f"{other.role}={other.path}"
    )


def check_writers(steps: "Sequence[Step]") -> None:
    """Refuse two overlays of one spec that write to one directory, or read what another writes."""
    written: dict[tuple[int, int], Step] = {}
    for step in steps:
        for layer in step.written:
            other = written.setdefault((layer.device, layer.inode), step)
            if other is not step:
                raise _two_users(step, layer, other)
    for step in steps:
        for layer in step.read:
            writer = written.get((layer.device, layer.inode))
            if writer and writer is not step:
                raise _two_users(step, layer, writer)


def _two_users(step: "Step", layer: "Layer", other: "Step") -> SpecError:
    return refusal.of(
        "OVL-RUN-16", step.mount.where, role=layer.role, path=layer.path, other=other.mount.where
    )


def in_use(steps: "Sequence[Step]", taken: "Layer", by: str) -> SpecError:
    """Say that a directory is taken, and by whom."""
    step = next(step for step in steps if taken in step.layers)
    return refusal.of("OVL-OPT-13", step.mount.where, role=taken.role, path=taken.path, other=by)


def _relation(layer: "Layer", other: "Layer") -> str:
    if (layer.device, layer.inode) == (other.device, other.inode):
        return "is"
    return "inside" if layer.path.startswith(other.path.rstrip("/") + "/") else ""
