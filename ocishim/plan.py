"""The decision, pure: what each overlay of a spec is mounted from, by which backend, in which order tried."""

from .errors import SpecError, words
from .options import escape
from .overlay import OverlayMount
from .probe.layer import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Step:
    """One overlay to mount: the entry, its layers as real paths, and the backends to try, in order.

    `written` are upperdir and workdir as they were looked at, `read` the lower layers. `fuse` is what
    fuse-overlayfs is told besides the layers; `no_fuse` says why it cannot do what is asked.
    """

    __slots__ = ("backends", "data", "fuse", "lower", "mount", "no_fuse", "read", "upper", "work", "written")

    def __init__(self, mount: OverlayMount, layers: "Sequence[Layer]") -> None:
        self.mount = mount
        self.upper = "".join(layer.path for layer in layers if layer.role == "upperdir")
        self.work = "".join(layer.path for layer in layers if layer.role == "workdir")
        self.lower = [layer.path for layer in layers if layer.role == "lowerdir"]
        self.data = [layer.path for layer in layers if layer.role == "datadir"]
        self.written = [layer for layer in layers if layer.role in ("upperdir", "workdir")]
        self.read = [layer for layer in layers if layer.role in ("lowerdir", "datadir")]
        self.backends: tuple[str, ...] = ()
        self.fuse: list[str] = []
        self.no_fuse = ""

    @property
    def needs_empty_lower(self) -> bool:
        """Whether the kernel wants a second lower: it takes no read-only overlay of a single layer."""
        return not self.upper and len(self.lower) == 1

    @property
    def options(self) -> dict[str, str]:
        """overlay's options besides the layers, for the kernel.

        The empty lower lies on another file system; xino=auto keeps one st_dev for files and directories.
        """
        if self.needs_empty_lower:
            return {"xino": "auto", **self.mount.options}
        return self.mount.options

    @property
    def kernel_options(self) -> list[str]:
        """The same as words."""
        return [f"{k}={v}" if v else k for k, v in self.options.items()]

    def describe(self, backend: str = "") -> str:
        """Say what is mounted where, layers top → bottom."""
        parts = [f"lower {_listed(self.lower)}"]
        if self.data:
            parts.append(f"data {_listed(self.data)}")
        if self.upper:
            parts.append(f"upper {escape(self.upper)}")
        told = ", ".join([backend or "/".join(self.backends), *self.kernel_options, *self.mount.flags])
        return f"overlay on {self.mount.destination}: {', '.join(parts)} ({told})"


def make(
    mounts: "Sequence[OverlayMount]",
    layers: "Sequence[list[Layer]]",
    mode: str,
    kind: str = "runc",
) -> list[Step]:
    """Decide for each overlay; `mode` is auto, kernel or fuse, `kind` the runtime's.

    Raises SpecError where the layers cannot make the overlay, or fuse is asked for what it cannot do.
    """
    steps = []
    for mount, its_layers in zip(mounts, layers, strict=True):
        check_layers(mount.where, its_layers)
        step = Step(mount, its_layers)
        step.fuse, step.no_fuse = translate(mount)
        if kind == "runsc":
            step.fuse += _FUSE_FOR_RUNSC
        if mode == "fuse":
            if step.no_fuse:
                raise SpecError(
                    f"{mount.where}.options",
                    f"{step.no_fuse}, which fuse-overlayfs cannot do",
                    "take --overlay kernel, or remove it",
                )
            step.backends = ("fuse",)
        elif mode == "kernel" or step.no_fuse:
            step.backends = ("kernel",)
        else:
            step.backends = ("kernel", "fuse")
        steps.append(step)
    check_writers(steps)
    return steps


def translate(mount: OverlayMount) -> tuple[list[str], str]:
    """Say overlay's options in fuse-overlayfs' words: its options, and what it cannot do.

    fuse-overlayfs ignores what it does not know. An option is left out here only where it asks for what
    fuse-overlayfs does anyway: it has no index, no metacopy, no redirects of its own, no verity.
    """
    told = []
    if mount.data:
        return [], "data-only lower layers"
    for name, value in mount.options.items():
        if name == "volatile" or (name, value) == ("fsync", "volatile"):
            told.append("volatile")
        elif name == "redirect_dir" and value in ("off", "nofollow"):
            told.append("redirect_dir=off")
        elif name in ("userxattr", "default_permissions"):
            continue  # it reads marks of both prefixes; the mount has default_permissions
        elif (name, value) not in _AS_FUSE_DOES:
            return [], f"{name}={value}" if value else name
    return told, ""


#: runsc keeps files open that its programs have closed, and only a close writes FUSE's write-back cache out:
#: without this, what a container wrote could be missing in upperdir for half a minute.
_FUSE_FOR_RUNSC = ("writeback=0",)

_AS_FUSE_DOES = (
    ("index", "off"),
    ("metacopy", "off"),
    ("nfs_export", "off"),
    ("uuid", "off"),
    ("uuid", "null"),
    ("uuid", "auto"),
    ("verity", "off"),
    ("xino", "off"),
    ("xino", "auto"),
    ("fsync", "auto"),
    ("fsync", "ordered"),
)


#: EACCES, ENOTDIR
_OTHER_REMEDIES = {13: "let ocishim's user read it", 20: "name a directory"}


def check_layers(where: str, layers: "Sequence[Layer]") -> None:
    """Refuse layers that are missing or that lie in one another. Raises SpecError."""
    for layer in layers:
        if layer.errno:
            remedy = _OTHER_REMEDIES.get(layer.errno, "create it, or correct the path")
            raise SpecError(f"{where}: {layer.role}={layer.path}", words(layer.errno), remedy)
    by_role = {layer.role: layer for layer in layers}
    upper, work = by_role.get("upperdir"), by_role.get("workdir")
    if upper and work:
        if upper.read_only:
            raise SpecError(
                f"{where}: upperdir={upper.path}",
                "its file system is mounted read-only",
                "remount it rw, or leave upperdir and workdir out for a read-only overlay",
            )
        if work.is_marked:
            raise SpecError(
                f"{where}: workdir={work.path}",
                "an overlay with volatile was made of it: what upperdir holds may be incomplete (OVL-OPT-17)",
                f"take a new upperdir and workdir, or remove {work.path}/work/incompat/volatile",
            )
        _check_upper(where, upper, work)
    _check_overlap(where, layers)


def _check_upper(where: str, upper: Layer, work: Layer) -> None:
    if upper.device == work.device:
        inside = _relation(work, upper)
        if inside == "is":
            raise SpecError(
                where, f"workdir={work.written} is upperdir itself", "give it a directory of its own"
            )
        if inside or _relation(upper, work):
            one, other = (work, upper) if inside else (upper, work)
            raise SpecError(
                where,
                f"{one.role}={one.path} lies inside {other.role}={other.path}",
                "move it beside it",
            )
    if upper.device != work.device or upper.mount != work.mount:
        raise SpecError(
            where,
            f"workdir={work.path} and upperdir={upper.path} are on different "
            + ("filesystems" if upper.device != work.device else "mounts of one filesystem"),
            "put both under one mount",
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
            raise SpecError(
                where,
                f"{layer.role}={layer.path} is the same directory as {other.role}={other.path}",
                "name each layer once",
            )
    by_path = {(layer.device, layer.path): layer for layer in layers}
    for layer in layers:
        parent = layer.path if layer.role in ("lowerdir", "datadir") else "/"
        while parent != "/":
            parent = parent.rpartition("/")[0] or "/"
            outer = by_path.get((layer.device, parent))
            if outer:
                raise SpecError(
                    where,
                    f"{layer.role}={layer.path} lies inside {outer.role}={outer.path}",
                    "overlapping layers cannot be told apart; use separate trees",
                )


def check_writers(steps: "Sequence[Step]") -> None:
    """Refuse two overlays of one spec that write to one directory, or read what another writes."""
    written: dict[tuple[int, int], Step] = {}
    for step in steps:
        for layer in step.written:
            other = written.setdefault((layer.device, layer.inode), step)
            if other is not step:
                raise SpecError(
                    f"{step.mount.where}: {layer.role}={layer.path}",
                    f"{other.mount.where} writes to it too",
                    "give each overlay an upperdir and workdir of its own",
                )
    for step in steps:
        for layer in step.read:
            writer = written.get((layer.device, layer.inode))
            if writer and writer is not step:
                raise SpecError(
                    f"{step.mount.where}: {layer.role}={layer.path}",
                    f"{writer.mount.where} writes to it: changes under an overlay are undefined",
                    "read from a directory that nobody changes",
                )


def in_use(steps: "Sequence[Step]", taken: Layer, by: str) -> SpecError:
    """Say that an upper or work directory is taken, and by whom."""
    [step] = [step for step in steps if taken in step.written]
    return SpecError(
        f"{step.mount.where}: {taken.role}={taken.path}",
        f"in use by {by}",
        "give each container its own upperdir and workdir, or end the first",
    )


def _relation(layer: Layer, other: Layer) -> str:
    if (layer.device, layer.inode) == (other.device, other.inode):
        return "is"
    return "inside" if layer.path.startswith(other.path.rstrip("/") + "/") else ""


def _listed(paths: "Sequence[str]") -> str:
    if len(paths) > 6:
        shown = [*paths[:3], f"… {len(paths) - 4} more …", paths[-1]]
        return ":".join(shown)
    return ":".join(escape(path) for path in paths)
