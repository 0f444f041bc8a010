"""Overlays, layers and decisions about them, made up for unit tests."""

from collections.abc import Mapping, Sequence

from ocishim import overlay, plan
from ocishim.overlay import OverlayMount
from ocishim.probe.here import Here
from ocishim.probe.layer import Layer
from ocishim.probe.marks import Mark
from ocishim.step import Step

RW = ("lowerdir=/a", "upperdir=/u", "workdir=/w")
EXT4 = 0xEF53


def overlays(*entries: Sequence[str]) -> list[OverlayMount]:
    """Make overlays of these options, on /0, /1 and so on."""
    return overlay.find(
        {
            "mounts": [
                {"destination": f"/{n}", "type": "overlay", "options": [*o]} for n, o in enumerate(entries)
            ]
        }
    )


def layer(
    role: str,
    path: str,
    *,
    device: int = 1,
    inode: int = 0,
    mount: int = 1,
    errno: int = 0,
    read_only: bool = False,
    magic: int = EXT4,
    identity: str = "",
    has_acl: bool = True,
    is_fixed: bool = False,
) -> Layer:
    """Make a layer: a directory of its own on one file system, unless told otherwise."""
    return Layer(
        role,
        path,
        path,
        device,
        inode or hash(path),
        mount,
        errno,
        read_only,
        False,
        magic,
        identity,
        has_acl,
        is_fixed=is_fixed,
    )


def layers(mount: OverlayMount, magics: Mapping[str, int] | None = None) -> list[Layer]:
    """Make the layers of an overlay; `magics` are those that are not on ext4, by path."""
    named = [("upperdir", mount.upper), ("workdir", mount.work)] if mount.upper else []
    named += [("lowerdir", path) for path in mount.lower] + [("datadir", path) for path in mount.data]
    return [layer(role, path, magic=(magics or {}).get(path, EXT4)) for role, path in named]


def make(
    mode: str,
    *entries: Sequence[str],
    marks: Sequence[Mark] = (),
    here: Here | None = None,
    forced: Mapping[str, str] | None = None,
    kind: str = "runc",
) -> list[Step]:
    """Decide about overlays of these options; the marks are in each."""
    mounts = overlays(*entries)
    found = [(layers(mount), [*marks]) for mount in mounts]
    return plan.make(mounts, found, here or Here(), mode, forced, kind)
