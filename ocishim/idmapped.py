"""Idmapped clones of the layers of an overlay.

An overlay cannot be idmapped, its layers can (from kernel 5.19 on). A clone is attached in the stage for as
long as an overlay is made of it: overlayfs keeps mounts of its own, with the mapping, and every kernel that
can do this at all takes a path.
"""

import os
from errno import EINVAL

from . import linux
from .actor import Actor
from .errors import HostError, MountError, SyscallError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .probe.layer import Layer
    from .shift import IdMap
    from .step import Step

#: Below the stage: a file system of its own, since each unmount waits for all processors.
PLACE = "idmapped"


def user_namespace(idmap: "IdMap") -> int:
    """Give a descriptor of a user namespace with these mappings. Raises HostError.

    It stays open until exec; what forks from here has it, too.
    """
    if idmap.texts not in _namespaces:
        try:
            _namespaces[idmap.texts] = _make_namespace(*idmap.texts)
        except OSError as e:
            why = str(e) if isinstance(e, SyscallError) else f"{e.filename}: {words(e.errno or 0)}"
            remedy = "take hostIDs that this user namespace has" if e.filename else "see user_namespaces(7)"
            raise HostError("user namespace with the mount's mappings", why, remedy) from None
    return _namespaces[idmap.texts]


#: By uid_map and gid_map.
_namespaces: dict[tuple[str, str], int] = {}


def _make_namespace(uid_map: str, gid_map: str) -> int:
    ready, ready_in = os.pipe2(os.O_CLOEXEC)
    done_out, done = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        status = EINVAL
        try:
            os.close(done)
            linux.unshare(linux.CLONE_NEWUSER)
            status = 0
        except SyscallError as e:
            status = e.errno or status
        finally:
            os.write(ready_in, bytes([status]))
            os.read(done_out, 1)  # until nobody has the other end any more
            os._exit(0)
    os.close(ready_in)
    os.close(done_out)
    try:
        status = ord(os.read(ready, 1) or bytes([EINVAL]))
        if status:
            raise SyscallError(status, "unshare(CLONE_NEWUSER)")
        for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
            _write(f"/proc/{child}/{name}", text)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.close(done)
        os.waitpid(child, 0)


def _write(path: str, text: str) -> None:
    """Write a map, which must be one write(2)."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    except OSError as e:
        e.filename = os.path.basename(path)
        raise
    finally:
        os.close(file)


def look(idmap: "IdMap", layers: "Sequence[Layer]") -> None:
    """Try for each layer whether it can be idmapped, in a clone that nobody sees; note errno in it."""
    namespace = user_namespace(idmap)
    known: dict[int, int] = {}
    for layer in layers:
        if layer.errno:
            continue
        if layer.mount not in known or layer.mount < 0:
            known[layer.mount] = _refusal(layer.path, namespace)
        layer.idmap_errno = known[layer.mount]


def _refusal(path: str, namespace: int) -> int:
    """Give errno of idmapping a clone of what is mounted there, 0 where it works."""
    tree = -1
    try:
        tree = linux.open_tree(path, recursive=False)
        linux.mount_setattr_idmap(tree, namespace)
    except SyscallError as e:
        return e.errno or EINVAL
    finally:
        if tree >= 0:
            os.close(tree)
    return 0


class Clones:
    """The layers of an overlay as idmapped clones below `stage`, while it is mounted, by the one to mount as.

    Entered, it gives the step with their paths. A lower layer that is none of the step's own, as a trial has,
    stays as it is. Raises MountError.
    """

    __slots__ = ("_actor", "_files", "_idmap", "_place", "_step")

    def __init__(self, step: "Step", idmap: "IdMap", stage: str) -> None:
        self._step = step
        self._idmap = idmap
        self._place = f"{stage}/{PLACE}"
        self._files: list[int] = []
        self._actor = Actor(idmap)

    def __enter__(self) -> "Step":
        step = self._step
        places: dict[str, str] = {}
        os.makedirs(self._place, exist_ok=True)
        try:
            linux.mount("tmpfs", self._place, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755")
        except SyscallError as e:
            raise self._error(e) from None
        try:
            for layer in step.read:
                places |= self._attach(layer.path, layer.path)
            if step.upper:
                # overlayfs wants both by one mount: a clone of a directory above them.
                above = os.path.commonpath((step.upper, step.work))
                places |= self._attach(above, step.upper, step.work)
            self._actor.__enter__()
        except SyscallError as e:
            self._leave()
            raise self._error(e) from None
        except OSError:
            self._leave()
            raise
        return step.at(places)

    def _error(self, error: SyscallError) -> MountError:
        what = f"idmapped layers of {self._step.mount.destination}"
        return MountError(what, str(error), errno=error.errno or 0)

    def __exit__(self, *_: object) -> None:
        self._actor.__exit__()
        self._leave()

    def _attach(self, root: str, *directories: str) -> dict[str, str]:
        """Attach a clone from `root` on; give the paths of directories in it.

        A path is one through the stage that ends as the real one does, for those who look in mountinfo who
        uses it. Where a directory on the way has no owner in the mapping and lets nobody else through, it is
        one by a descriptor from before the mapping: that leads there all the same.
        """
        place = f"{self._place}/{len(self._files)}{root.rstrip('/')}"
        os.makedirs(place)
        tree = linux.open_tree(root, recursive=False)
        files = []
        try:
            insides = [path[len(root.rstrip("/")) :] for path in directories]
            for inside in insides:
                files.append(os.open(f".{inside}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree))
                self._files.append(files[-1])
            linux.mount_setattr_idmap(tree, user_namespace(self._idmap))
            linux.move_mount(tree, place)
        finally:
            os.close(tree)
        with self._actor:
            return {
                path: _by_path(f"{place}{inside}") or f"/proc/self/fd/{file}"
                for path, inside, file in zip(directories, insides, files, strict=True)
            }

    def _leave(self) -> None:
        linux.umount(self._place)
        for file in self._files:
            os.close(file)
        self._files = []


def _by_path(path: str) -> str:
    """Give a path if it leads somewhere, else ""."""
    try:
        os.stat(path)
    except PermissionError:
        return ""
    return path
