"""ZFS in a guest of QEMU: which versions, where they are kept, how a command runs beside a pool of theirs."""

import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Mapping, Sequence

from . import qemu, zfs_build
from .boot import WRITABLE, Disk, Done

#: By version, the suite of Debian that has it; all are built for the kernel of the first one.
SUITES = {"2.1.11": "bookworm", "2.3.2": "bookworm-backports"}
#: A file system that is not mounted: what mount(2) takes as source, with the type zfs.
DEVICE = "tank/disk"
_POOL = pathlib.Path(__file__).with_name("zfs-pool")


@dataclasses.dataclass(frozen=True)
class Zfs:
    """A version of ZFS: a kernel that has it, and the directory of zpool, zfs and their libraries."""

    version: str
    guest: qemu.Guest
    tools: pathlib.Path


def cache() -> pathlib.Path:
    """Give the directory that builds are kept in."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "ocishim/zfs")


def find(version: str) -> Zfs | None:
    """Give what was built before, for whichever kernel; the newest, if for several."""
    forms = [path for path in cache().glob(f"{version}-*/form") if path.read_text() == zfs_build.FORM]
    if not forms:
        return None
    place = max(forms, key=lambda path: path.stat().st_mtime_ns).parent
    modules = tuple(sorted(place.glob("modules/*.ko")))
    return Zfs(version, qemu.Guest(place / "vmlinux", modules), place / "tools")


def fetch(version: str) -> Zfs:
    """Give a version, built if need be, in 6 minutes and more. Two that want the same wait for each other.

    Raises UnavailableError. To build for a newer kernel of Debian, remove the directory in the cache.
    """
    place = cache()
    place.mkdir(parents=True, exist_ok=True)
    with open(place / f"{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := find(version)):
            zfs_build.make(SUITES[version], place / f"{version}.part", f"{place / version}-")
            found = find(version)
    assert found
    return found


def run(
    zfs: Zfs,
    argv: Sequence[str | pathlib.Path],
    *,
    results: pathlib.Path | None = None,
    disks: Sequence[Disk] = (),
    env: Mapping[str, str] | None = None,
    directory: pathlib.Path | str = "/",
    writable: Sequence[str] = WRITABLE,
    memory: str = "1536M",
    limit: float = 300,
) -> Done:
    """Run a command as qemu.run does, with a pool of 512 MiB; zfs-pool says with which datasets."""
    return qemu.run(
        zfs.guest,
        ["/bin/sh", f"{qemu.GUEST_JOB}/{_POOL.name}", qemu.GUEST_JOB, *argv],
        results=results,
        disks=disks,
        bring=[_POOL, *zfs.tools.iterdir()],
        env=env,
        directory=directory,
        writable=writable,
        memory=memory,
        limit=limit,
    )
