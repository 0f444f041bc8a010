"""How the layers of a case are made, by the name that the case gives."""

import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable

from . import calls, content, privilege, trees
from .both import Both
from .cases import USUAL, Case
from .errors import NotMadeError
from .exercise import READ
from .filesystems import FileSystems
from .images import give
from .trees import Tree
from .ways import FUSE, KERNEL, Layers, Mounted, Way

_LIMIT = 20.0
_MANY = 70


@dataclasses.dataclass(frozen=True)
class Made:
    """Layers, and what their union holds; what the directory `unjudged` shows is nobody's promise."""

    layers: Layers
    expected: Tree
    unjudged: str = ""


def make(case: Case, systems: FileSystems) -> Made:
    """Make a case's layers, new each time. Called as root of the initial user namespace.

    Raises NotMadeError with the reason where this kernel cannot.
    """
    try:
        if case.layers in _MAKERS:
            return _MAKERS[case.layers](case, systems)
        place, _, writer = case.layers.partition("-by-")
        return _written(case, systems, writer, as_upper=place == "upper")
    except OSError as e:
        raise NotMadeError(f"{type(e).__name__}: {e}") from None


def _usual(case: Case, systems: FileSystems) -> Made:
    lower = (systems.layer(case.lower, case.privilege),)
    tree = {**content.LOWER, **(content.LINK if systems.supports_links(case.lower) else {})}
    return Made(_with_upper(case, systems, lower), tree)


def _several(case: Case, systems: FileSystems) -> Made:
    middle: Tree = {"middle": b"of the layer between\n", "deep": None, "deep/beside": b"hidden\n"}
    stack: list[Tree] = [content.LOWER, middle, content.BELOW]
    lower = tuple(systems.layer(case.lower, case.privilege, tree=tree) for tree in stack)
    return Made(_with_upper(case, systems, lower), trees.merge(stack))


def _many(case: Case, systems: FileSystems) -> Made:
    """Make so many layers, with so long names, that mount(2) would cut the list."""
    stack: list[Tree] = [content.LOWER]
    stack += [{f"from-{at}": b"%d\n" % at, "shared": b"of %d\n" % at} for at in range(1, _MANY)]
    lower = []
    for at, tree in enumerate(stack):
        outer = systems.layer(case.lower, case.privilege, tree={})
        name = f"{outer}/a-long-name-of-layer-number-{at:02}-as-image-stores-have-them-by-their-digests"
        os.mkdir(name)
        trees.write(tree, name)
        give(name, os.stat(outer).st_uid)
        lower.append(name)
    return Made(_with_upper(case, systems, tuple(lower)), trees.merge(stack))


def _submount(case: Case, systems: FileSystems) -> Made:
    """Mount something in a lower layer: the kernel shows what is below it, fuse-overlayfs what is in it."""
    made = _usual(case, systems)
    owner = os.stat(made.layers.lower[0]).st_uid
    data = f"mode=755,size=1m,uid={owner},gid={owner}"
    calls.mount("tmpfs", f"{made.layers.lower[0]}/hollow", "tmpfs", 0, data)
    (pathlib.Path(made.layers.lower[0]) / "hollow/of-the-submount").touch()
    give(f"{made.layers.lower[0]}/hollow", owner)
    return dataclasses.replace(made, unjudged="hollow")


def _foreign(case: Case, systems: FileSystems) -> Made:
    """Leave the lower layer root's, who is nobody in the user namespace."""
    made = _usual(case, systems)
    give(made.layers.lower[0], 0)
    return made


def _busy_work(case: Case, systems: FileSystems) -> Made:
    """Leave more in work/work than the kernel cleans away: it then mounts read-only, and says nothing."""
    made = _usual(case, systems)
    leaf = pathlib.Path(made.layers.work, "work/a/b/c")
    leaf.mkdir(parents=True)
    give(made.layers.work, os.stat(made.layers.upper).st_uid)
    return made


def _busy_upper(case: Case, systems: FileSystems) -> Made:
    """Leave upper to an overlay that is mounted, as of a container that runs."""
    made = _usual(case, systems)
    target = f"{made.layers.work}.other"
    os.mkdir(target)
    Mounted(Way(KERNEL), made.layers, target)
    return made


def _work_elsewhere(case: Case, systems: FileSystems) -> Made:
    """Give a workdir of another file system than upperdir's."""
    made = _usual(case, systems)
    return dataclasses.replace(
        made, layers=dataclasses.replace(made.layers, work=systems.directory("tmpfs", case.privilege))
    )


def _around(case: Case, systems: FileSystems) -> Made:
    """Put upper and work into the lower layer, as of a root file system that an overlay is made of.

    The directory that they are in may not even be listed: fuse-overlayfs answers EIO there.
    """
    made = _usual(case, systems)
    [lower] = made.layers.lower
    owner = os.stat(lower).st_uid
    for name in ("inside", "inside/u", "inside/w"):
        os.mkdir(f"{lower}/{name}")
        os.chown(f"{lower}/{name}", owner, owner)
    layers = Layers(made.layers.lower, f"{lower}/inside/u", f"{lower}/inside/w")
    return Made(layers, {**made.expected, "inside": None}, "inside")


def _full(case: Case, systems: FileSystems) -> Made:
    """Leave no room on the file system of upper."""
    made = _on_own_tmpfs(case, systems, "size=256k")
    with open(f"{pathlib.Path(made.layers.upper).parent}/filler", "wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
    return made


def _no_inodes(case: Case, systems: FileSystems) -> Made:
    """Leave room on the file system of upper, and no inode."""
    return _on_own_tmpfs(case, systems, "nr_inodes=4")


def _on_own_tmpfs(case: Case, systems: FileSystems, limit: str) -> Made:
    """Give upper and work a tmpfs that is unlike the one that all cases share."""
    made = _usual(case, systems)
    outer = systems.directory("tmpfs", case.privilege)
    calls.mount("tmpfs", outer, "tmpfs", 0, f"mode=755,{limit}")
    owner = os.stat(made.layers.upper).st_uid
    for name in ("u", "w"):
        os.mkdir(f"{outer}/{name}")
        os.chown(f"{outer}/{name}", owner, owner)
    return dataclasses.replace(made, layers=Layers(made.layers.lower, f"{outer}/u", f"{outer}/w"))


def _data_only(case: Case, systems: FileSystems) -> Made:
    """Keep the content of two files in a data-only layer, as composefs does; the lower layer names it."""
    made = _usual(case, systems)
    data = systems.layer(case.lower, case.privilege, tree={"objects": None})
    prefix = "user" if case.privilege == privilege.USERNS else "trusted"
    [lower] = made.layers.lower
    for name in ("big", "other"):
        size = os.stat(f"{lower}/{name}").st_size
        os.rename(f"{lower}/{name}", f"{data}/objects/{name}")
        with open(f"{lower}/{name}", "wb") as file:
            file.truncate(size)
        os.setxattr(f"{lower}/{name}", f"{prefix}.overlay.metacopy", b"")
        os.setxattr(f"{lower}/{name}", f"{prefix}.overlay.redirect", f"/objects/{name}".encode())
    for directory in (lower, data):
        give(directory, os.stat(made.layers.upper).st_uid)
    return dataclasses.replace(made, layers=dataclasses.replace(made.layers, data=(data,)))


def _odd_names(case: Case, systems: FileSystems) -> Made:
    """Rename every layer to what mount options have characters of their own for."""
    made = _usual(case, systems)

    def odd(path: str) -> str:
        os.rename(path, f"{path} a:b,c\\d'e")
        return f"{path} a:b,c\\d'e"

    layers = made.layers
    return dataclasses.replace(
        made, layers=Layers(tuple(map(odd, layers.lower)), odd(layers.upper), odd(layers.work))
    )


def _odd_lower(case: Case, systems: FileSystems) -> Made:
    """Give only a lower layer such a name: fuse-overlayfs cannot have it for upper."""
    made = _usual(case, systems)
    [lower] = made.layers.lower
    os.rename(lower, f"{lower} a:b,c\\d'e\"f")
    layers = dataclasses.replace(made.layers, lower=(f"{lower} a:b,c\\d'e\"f",))
    return dataclasses.replace(made, layers=layers)


def _volatile_leftover(case: Case, systems: FileSystems) -> Made:
    made = _usual(case, systems)
    model = _write(case.privilege, Way(KERNEL, _as(case, "volatile")), made, _change)
    return Made(made.layers, model)


def _index_leftover(case: Case, systems: FileSystems) -> Made:
    """Use upper with a first lower and index=on, then give a copy of that lower in its place."""
    made = _usual(case, systems)
    model = _write(case.privilege, Way(KERNEL, _as(case, "index=on")), made, _append)
    other = systems.layer(case.lower, case.privilege)
    return Made(dataclasses.replace(made.layers, lower=(other,)), model)


def _written(case: Case, systems: FileSystems, writer: str, *, as_upper: bool) -> Made:
    """Let a driver write the upper layer of a first overlay; use it as lower, or as upper once more."""
    who, way, change = _WRITERS[writer]
    first = dataclasses.replace(case, privilege=who, upper=case.upper or "ext4")
    made = _usual(first, systems)
    model = _write(who, way, made, change)
    if who != case.privilege:
        # What one has written, the other gets as its own: as when an image store is copied or chowned.
        owner = privilege.NOBODY if case.privilege == privilege.USERNS else 0
        for path in (*made.layers.lower, made.layers.upper, made.layers.work):
            give(path, owner)
    if as_upper:
        return Made(made.layers, model)
    return Made(_with_upper(case, systems, (made.layers.upper, *made.layers.lower)), model)


def _write(who: str, way: Way, made: Made, change: Callable[[Both], None]) -> Tree:
    """Mount, change, unmount; give the model of what is there then."""
    target = f"{made.layers.work}.first"
    os.makedirs(target, exist_ok=True)

    def in_child() -> str:
        try:
            mounted = Mounted(way, made.layers, target)
            change(Both(target, made.expected))
            mounted.umount()
        except OSError as e:
            return str(e)
        return ""

    failed = privilege.run(who, in_child, _LIMIT)
    if failed:
        raise NotMadeError(f"{who} cannot write layers with {way} here: {failed}")
    return _modelled(made.expected, change)


def _modelled(before: Tree, change: Callable[[Both], None]) -> Tree:
    """Give what a change makes of a tree, by doing it to a plain directory."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="model-") as directory:
        trees.write(before, directory)
        both = Both(directory, before)
        change(both)
        both.check()
        return both.model


def _change(both: Both) -> None:
    """Leave a whiteout, an opaque directory, a file copied up."""
    both.unlink("doomed")
    both.remove("tree")
    both.make("tree")
    both.write("tree/new", b"new\n")
    both.append("other", b"by the first\n")


def _append(both: Both) -> None:
    both.append("other", b"by the first\n")


def _chmod(both: Both) -> None:
    """Leave files whose content is still below, where metacopy=on."""
    for path in ("big", "other"):
        os.chmod(both.at(path), 0o640)


def _rename(both: Both) -> None:
    both.rename("mover", "was-mover")


def _as(case: Case, *options: str) -> tuple[str, ...]:
    """Give options as the case's privilege can use them."""
    return ("userxattr", *options) if case.privilege == privilege.USERNS else options


def _with_upper(case: Case, systems: FileSystems, lower: tuple[str, ...]) -> Layers:
    if case.kind == READ or not case.upper:
        return Layers(lower)
    return Layers(lower, *systems.upper(case.upper, case.privilege))


_WRITERS: dict[str, tuple[str, Way, Callable[[Both], None]]] = {
    "kernel": (privilege.ROOT, Way(KERNEL), _change),
    "userxattr": (privilege.USERNS, Way(KERNEL, ("userxattr",)), _change),
    "metacopy": (privilege.ROOT, Way(KERNEL, ("metacopy=on",)), _chmod),
    "redirect": (privilege.ROOT, Way(KERNEL, ("redirect_dir=on",)), _rename),
    "fuse": (privilege.ROOT, Way(FUSE), _change),
    "fuse-rootless": (privilege.USERNS, Way(FUSE), _change),
}
_MAKERS: dict[str, Callable[[Case, FileSystems], Made]] = {
    USUAL: _usual,
    "several": _several,
    "many": _many,
    "submount": _submount,
    "foreign": _foreign,
    "busy-work": _busy_work,
    "busy-upper": _busy_upper,
    "work-elsewhere": _work_elsewhere,
    "odd-names": _odd_names,
    "odd-lower": _odd_lower,
    "around": _around,
    "full": _full,
    "no-inodes": _no_inodes,
    "data-only": _data_only,
    "volatile-leftover": _volatile_leftover,
    "index-leftover": _index_leftover,
}
