"""The file systems of one kernel: each mounted once, with directories handed out to cases."""

import os
import pathlib
import subprocess
from collections.abc import Callable

from . import calls, content, trees
from .errors import NotMadeError
from .images import PACKED_LAYERS, give
from .privilege import NOBODY, ROOT, USERNS
from .trees import Tree
from .ways import FUSE, Layers, Mounted, Way

#: What is mounted from an image, by the type that mount(2) takes.
_DISKS = {
    "ext4": "ext4",
    "ext4-nofiletype": "ext4",
    "ext4-casefold": "ext4",
    "xfs": "xfs",
    "xfs-noftype": "xfs",
    "btrfs": "btrfs",
    "vfat": "vfat",
    "squashfs": "squashfs",
    "erofs": "erofs",
    "zfs": "zfs",
}
_DATA = {"vfat": "umask=022,uid={0},gid={0}"}
_PACKED = ("squashfs", "erofs")
_MEMORY = {"tmpfs": "mode=755,size=128m", "ramfs": "mode=755"}
_PSEUDO = {"proc": "/proc", "sysfs": "/sys", "cgroup2": "/sys/fs/cgroup", "devtmpfs": "/dev"}
#: Made of a directory of another file system each time.
_DERIVED = ("overlay", "overlay2", "fuse", "noexec", "read-only", "btrfs-subvolume", "btrfs-in-subvolume")
#: Those that only lower layers can lie on, and that have content of their own.
PSEUDO = tuple(_PSEUDO)


class FileSystems:
    """Mounts and directories below `place`; `devices` by name, `hostfs` a host's directory if in a guest."""

    def __init__(self, place: pathlib.Path, devices: dict[str, str], hostfs: str) -> None:
        self._place = place
        self._devices = devices
        self._hostfs = hostfs
        self._mounted: dict[str, str] = {}
        self._servers: list[Mounted] = []
        self._count = 0

    def mount_all(self) -> None:
        """Mount what can be mounted, once for all cases; what cannot, is told by those that want it."""
        for name in (*_DISKS, *_MEMORY, "hostfs"):
            target = self._place / "fs" / name
            target.mkdir(parents=True)
            self._mounted[name] = self._mount(name, str(target))

    def _mount(self, name: str, target: str) -> str:
        """Give "" or why not."""
        try:
            if name in _MEMORY:
                calls.mount(name, target, name, calls.MS_NOSUID | calls.MS_NODEV, _MEMORY[name])
            elif name == "hostfs":
                if not self._hostfs:
                    return "only in User Mode Linux"
                calls.mount("none", target, "hostfs", 0, self._hostfs)
            elif name not in self._devices:
                return "no image of it"
            else:
                flags = calls.MS_RDONLY if name in _PACKED else 0
                data = _DATA.get(name, "").format(NOBODY)
                calls.mount(self._devices[name], target, _DISKS[name], flags, data)
            os.chmod(target, 0o755) if name not in _PACKED else None
        except OSError as e:
            return str(e)
        return ""

    def supports_links(self, name: str) -> bool:
        """Tell whether a file system has symbolic and hard links."""
        return name != "vfat"

    def layer(self, name: str, privilege: str, which: str = "top", tree: Tree | None = None) -> str:
        """Give a directory on this file system with the tree, by default the usual one of that layer.

        Called as root of the initial user namespace; its owner is who has the privilege.
        Raises NotMadeError if this kernel has no such file system, or none that holds this.
        """
        if name in _PSEUDO:
            return self._pseudo(name)
        if name in _PACKED:
            if tree is not None:
                raise NotMadeError(f"{name} has the usual layers only")
            self._need(name)
            return str(self._place / "fs" / name / privilege / which)
        if tree is None:
            tree = PACKED_LAYERS[which]
            if not self.supports_links(name):
                tree = {path: node for path, node in tree.items() if path not in content.LINK}
        if name in _DERIVED:
            return _DERIVATIONS[name](self, privilege, tree)
        directory = self.directory(name, privilege)
        trees.write(tree, directory)
        if name != "vfat":
            give(directory, NOBODY if privilege == USERNS else 0)
        return directory

    def directory(self, name: str, privilege: str) -> str:
        """Give a new empty directory on a file system that is mounted for all."""
        self._need(name)
        self._count += 1
        directory = self._place / "fs" / name / f"{os.getpid()}-{self._count}"
        directory.mkdir()
        if name != "vfat" and privilege == USERNS:
            os.chown(directory, NOBODY, NOBODY)
        return str(directory)

    def upper(self, name: str, privilege: str) -> tuple[str, str]:
        """Give upperdir and workdir on this file system, new and empty."""
        if name in _PSEUDO:
            base = self._pseudo(name)
            return f"{base}/fs", f"{base}/{'sys' if name == 'proc' else 'kernel'}"
        if name in _PACKED:
            return self.layer(name, privilege, "top"), self.layer(name, privilege, "below")
        if name == "btrfs-subvolume":
            return self._subvolume(privilege, {}), self.directory("btrfs", privilege)
        base = self.layer(name, privilege, tree={"u": None, "w": None})
        return f"{base}/u", f"{base}/w"

    def _need(self, name: str) -> None:
        why = self._mounted.get(name, "no such file system")
        if why:
            raise NotMadeError(f"{name}: {why}")

    def _pseudo(self, name: str) -> str:
        path = _PSEUDO[name]
        if name == "cgroup2":
            path = next((each for each in (path, f"{path}/unified") if _is(each, "cgroup2")), path)
        if not _is(path, name):
            raise NotMadeError(f"{name} is not mounted on {path}")
        return path

    def _mount_point(self) -> str:
        self._count += 1
        target = self._place / "derived" / f"{os.getpid()}-{self._count}"
        target.mkdir(parents=True)
        return str(target)

    def _overlay(self, privilege: str, tree: Tree, times: int = 1) -> str:
        """Mount an overlay of the tree as root; a layer of the case is its merged directory."""
        merged = self.layer("ext4", privilege, tree=tree)
        for _ in range(times):
            upper, work = self.upper("ext4", privilege)
            target = self._mount_point()
            data = f"lowerdir={merged},upperdir={upper},workdir={work}"
            try:
                calls.mount("overlay", target, "overlay", 0, data)
            except OSError as e:
                raise NotMadeError(f"an overlay as a layer: {e}") from None
            merged = target
        return merged

    def _fuse(self, privilege: str, tree: Tree) -> str:
        """Start fuse-overlayfs as root, for all users; it ends with the case."""
        upper, work = self.upper("ext4", privilege)
        lower = self.layer("ext4", privilege, tree=tree)
        target = self._mount_point()
        layers = Layers((lower,), upper, work)
        try:
            self._servers.append(Mounted(Way(FUSE, ("allow_other",)), layers, target))
        except OSError as e:
            raise NotMadeError(f"a FUSE layer: {e}") from None
        return target

    def _bound(self, privilege: str, tree: Tree, flags: int) -> str:
        source = self.layer("ext4", privilege, tree=tree)
        target = self._mount_point()
        calls.bind(source, target, flags)
        return target

    def _subvolume(self, privilege: str, tree: Tree) -> str:
        parent = self.directory("btrfs", privilege)
        path = f"{parent}/subvolume"
        words = ["btrfs", "-q", "subvolume", "create", path]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotMadeError(f"btrfs subvolume: {done.stderr.strip()}")
        trees.write(tree, path)
        give(path, NOBODY if privilege == USERNS else 0)
        return path


_DERIVATIONS: dict[str, Callable[[FileSystems, str, Tree], str]] = {
    "overlay": lambda systems, privilege, tree: systems._overlay(privilege, tree),
    "overlay2": lambda systems, privilege, tree: systems._overlay(privilege, tree, 2),
    "fuse": lambda systems, privilege, tree: systems._fuse(privilege, tree),
    "noexec": lambda systems, privilege, tree: systems._bound(
        privilege, tree, calls.MS_NOEXEC | calls.MS_NOSUID | calls.MS_NODEV
    ),
    "read-only": lambda systems, privilege, tree: systems._bound(privilege, tree, calls.MS_RDONLY),
    "btrfs-in-subvolume": lambda systems, privilege, tree: systems._subvolume(privilege, tree),
    "btrfs-subvolume": lambda systems, privilege, tree: systems._subvolume(privilege, tree),
}


def _is(path: str, kind: str) -> bool:
    """Tell whether a file system of this type is mounted on exactly that path."""
    found = ""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[4] == path:
            found = right.split()[0]
    return found == kind


__all__ = ["PSEUDO", "ROOT", "FileSystems"]
