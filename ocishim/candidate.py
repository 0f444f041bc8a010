"""One way to mount an overlay, pure: the backend, its exact options, what speaks for and against it."""

import os
from errno import ENOSYS, EPERM

from . import filesystems, refusal
from .errors import ShimError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .overlay import OverlayMount
    from .probe.here import Here
    from .probe.layer import Layer
    from .probe.marks import Mark


class Candidate:
    """A backend (kernel or fuse) for one overlay.

    `options` are the exact ones besides the layers, by name, "" for a flag. `added` holds options that the
    spec does not have and why they are there, `pro` and `con` what else a person should know. `rejected` is
    why this way is closed, None where it is open to be tried.
    """

    __slots__ = ("added", "backend", "con", "options", "pro", "rejected")

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.options: dict[str, str] = {}
        self.added: list[tuple[str, str]] = []
        self.pro: list[str] = []
        self.con: list[str] = []
        self.rejected: ShimError | None = None

    @property
    def words(self) -> list[str]:
        """The options as words."""
        return [f"{name}={value}" if value else name for name, value in self.options.items()]

    def volatile(self) -> "Candidate":
        """Give the same with the kernel's volatile, for a trial."""
        copy = Candidate(self.backend)
        copy.options, copy.con = dict(self.options), self.con
        if self.backend == "kernel" and "fsync" not in self.options:
            copy.options["volatile"] = ""
        return copy

    def add(self, name: str, value: str, why: str) -> None:
        """Set an option that the spec does not have."""
        self.options[name] = value
        self.added.append((f"{name}={value}" if value else name, why))


def kernel(
    mount: "OverlayMount", layers: "Sequence[Layer]", marks: "Sequence[Mark]", here: "Here"
) -> Candidate:
    """Decide how the kernel's overlayfs would mount an overlay, and whether it may."""
    found = Candidate("kernel")
    found.pro.append("no process to run, no copies through one")
    found.options.update(mount.options)
    if not here.is_initial:
        _for_user_namespace(found, mount)
    if not mount.upper and len(mount.lower) == 1 and "xino" not in mount.options:
        found.add("xino", "auto", "a second, empty lower layer is added, as the kernel wants two")
    _pin(found, here.defaults)
    _tell_owners(found, layers)
    found.rejected = (
        found.rejected
        or _by_file_system(mount, layers)
        or _by_idmap(mount, layers)
        or _by_marks(found, mount, marks)
    )
    return found


def _tell_owners(found: Candidate, layers: "Sequence[Layer]") -> None:
    """Say which layers have files that a container can only read and delete: copy-up keeps the owner."""
    for layer in layers:
        if layer.unmapped:
            found.con.append(
                f"{layer.unmapped} in {layer.role}={layer.path} belongs to an owner who is not mapped: such "
                "files can be read and deleted, not changed (OVL-UNS-01)"
            )


def _for_user_namespace(found: Candidate, mount: "OverlayMount") -> None:
    """Add userxattr: trusted xattrs, which overlayfs takes otherwise, need the initial user namespace."""
    needs_trusted = [
        f"{name}={value}"
        for name, value in mount.options.items()
        if (name, value) in (("redirect_dir", "on"), ("redirect_dir", "follow"), ("metacopy", "on"))
    ]
    if needs_trusted:
        found.rejected = refusal.of("OVL-OPT-23", mount.where, option=needs_trusted[0])
    elif "userxattr" not in found.options:
        found.add("userxattr", "", "in a user namespace trusted xattrs cannot be written")
    if found.options.get("redirect_dir") == "off":
        found.options["redirect_dir"] = "nofollow"
        found.added.append(("redirect_dir=nofollow", "what off means with userxattr, which refuses off"))


def _pin(found: Candidate, defaults: "Sequence[str]") -> None:
    """Turn off what this host's module turns on: the spec must mean the same on every host."""
    asked = dict(found.options)
    for name in defaults:
        if name in asked:
            continue
        if name in ("metacopy", "redirect_dir") and (
            "userxattr" in asked or asked.get("metacopy") == "on" or asked.get("verity", "off") != "off"
        ):
            continue  # userxattr turns them off, the others need them
        if name == "index" and asked.get("nfs_export") == "on":
            continue
        found.add(name, "off", f"the overlay module's default here is {name}=on")


def _by_file_system(mount: "OverlayMount", layers: "Sequence[Layer]") -> SpecError | None:
    """Reject what must not even be tried, and what mounts and then deceives."""
    for layer in layers:
        is_upper = layer.role in ("upperdir", "workdir")
        if layer.magic == filesystems.GPFS:
            page = "OVL-LOW-06"
        elif layer.magic in filesystems.CLUSTER:
            page = "OVL-LOW-07"
        elif layer.magic == filesystems.ECRYPTFS and is_upper:
            page = "OVL-UPP-11"
        elif layer.magic == filesystems.RAMFS and is_upper:
            page = "OVL-UPP-16"
        elif layer.is_stuck:
            page = "OVL-OPT-16"
        elif layer.magic in filesystems.UNREADABLE_VIEWS or (
            layer.magic in filesystems.VIEWS and mount.upper
        ):
            page = "OVL-LOW-24"
        else:
            continue
        fs = filesystems.name(layer.magic)
        errno = "ENOTEMPTY from removing work/work"
        return refusal.of(page, mount.where, role=layer.role, path=layer.path, fs=fs, errno=errno)
    return None


def _by_idmap(mount: "OverlayMount", layers: "Sequence[Layer]") -> SpecError | None:
    """Reject layers that cannot be idmapped, and upper ones that would then belong to nobody."""
    if not mount.idmap:
        return None
    for layer in layers:
        if layer.idmap_errno:
            page = _BY_IDMAP_ERRNO.get(layer.idmap_errno, "OVL-UNS-04")
            fs, kernel = filesystems.name(layer.magic), os.uname().release
            return refusal.of(page, mount.where, role=layer.role, path=layer.path, fs=fs, kernel=kernel)
    for layer in layers:
        if layer.role in ("upperdir", "workdir") and not mount.idmap.has(layer.uid, layer.gid):
            value = f"uid {layer.uid} and gid {layer.gid}"
            return refusal.of("OVL-UNS-15", mount.where, role=layer.role, path=layer.path, value=value)
    return None


_BY_IDMAP_ERRNO = {ENOSYS: "OVL-UNS-03", EPERM: "OVL-UNS-14"}


def _by_marks(found: Candidate, mount: "OverlayMount", marks: "Sequence[Mark]") -> SpecError | None:
    """Reject layers whose marks the kernel would not understand with these options."""
    has_userxattr = "userxattr" in found.options
    for mark in marks:
        values = {"role": mark.role, "path": mark.path, "value": mark.name}
        if mark.kind == "fuse":
            return refusal.of("OVL-FUS-13", mount.where, **values)
        if mark.kind == "foreign" or (mark.kind == "opaque" and mark.is_user != has_userxattr):
            other = "user.overlay.*" if has_userxattr else "trusted.overlay.*"
            return refusal.of("OVL-UNS-07", mount.where, **values, other=other)
        if mark.kind == "metacopy" and not (
            _may_lead_to_data(mark, mount, has_userxattr)
            or (not mark.is_user and not has_userxattr and found.options.get("metacopy") == "on")
        ):
            return refusal.of("OVL-LOW-22", mount.where, **values)
        if mark.kind == "redirect" and (
            mark.is_user or has_userxattr or found.options.get("redirect_dir") == "nofollow"
        ):
            return refusal.of("OVL-LOW-22", mount.where, **values)
    return None


def _may_lead_to_data(mark: "Mark", mount: "OverlayMount", has_userxattr: bool) -> bool:
    """Tell whether a file may have its content in a data-only layer, which needs no metacopy=on from 6.16 on.

    An older kernel does not mount data-only layers without it.
    """
    return bool(mount.data) and mark.role == "lowerdir" and mark.is_user == has_userxattr


def fuse(
    mount: "OverlayMount", layers: "Sequence[Layer]", marks: "Sequence[Mark]", here: "Here", kind: str
) -> Candidate:
    """Decide how fuse-overlayfs would mount an overlay; `kind` is the runtime's."""
    found = Candidate("fuse")
    found.con.append("slower: a process answers for each file")
    refused = _translate(found, mount)
    if refused:
        # In the words of the catalogue, which is not read for it: mostly the kernel can, and nobody is told.
        why, remedy = f"{refused}, which fuse-overlayfs cannot do", "take --overlay kernel, or remove it"
        found.rejected = SpecError(mount.where, why, remedy, "OVL-OPT-20")
        return found
    found.rejected = _without_size(mount, layers) or _split(mount, layers)
    if found.rejected:
        return found
    _tell_owners(found, layers)
    for mark in marks:
        if mark.kind in ("metacopy", "redirect", "whiteout", "foreign") or (
            mark.kind == "opaque" and not mark.is_user and not here.is_initial
        ):
            found.rejected = refusal.of(
                "OVL-FUS-14", mount.where, role=mark.role, path=mark.path, value=mark.name
            )
            return found
    without = next((layer for layer in layers if not layer.has_acl and layer.role != "workdir"), None)
    if without:
        fs = filesystems.name(without.magic)
        found.add("noacl", "", f"{without.role}={without.path} is on {fs} without POSIX ACLs")
    if kind == "runsc":
        found.add("writeback", "0", "runsc keeps files open, and only a close would write them out")
    return found


def _without_size(mount: "OverlayMount", layers: "Sequence[Layer]") -> SpecError | None:
    for layer in layers:
        if layer.magic in filesystems.WITHOUT_SIZES:
            fs = filesystems.name(layer.magic)
            return refusal.of("OVL-LOW-24", mount.where, role=layer.role, path=layer.path, fs=fs)
    return None


def _split(mount: "OverlayMount", layers: "Sequence[Layer]") -> SpecError | None:
    """Refuse an upper layer that cannot be named: a link to it would be followed, and the name then split."""
    for layer in layers:
        if layer.role == "upperdir" and ":" in layer.path:
            path = f"upperdir={layer.path}"
            return refusal.of("OVL-OPT-06", mount.where, program="fuse-overlayfs", path=path, value=":")
    return None


def _translate(found: Candidate, mount: "OverlayMount") -> str:
    """Say overlay's options in fuse-overlayfs' words; give what it cannot do, "" if it can do all.

    fuse-overlayfs ignores what it does not know. An option is left out here only where it asks for what
    fuse-overlayfs does anyway: it has no index, no metacopy, no redirects of its own, no verity.
    """
    if mount.data:
        return "data-only lower layers"
    if mount.idmap:
        return "an id mapping"
    for name, value in mount.options.items():
        if name == "volatile" or (name, value) == ("fsync", "volatile"):
            found.options["volatile"] = ""
        elif name == "redirect_dir" and value in ("off", "nofollow"):
            found.options["redirect_dir"] = "off"
        elif name in ("userxattr", "default_permissions"):
            continue  # it reads marks of both prefixes; the mount has default_permissions
        elif (name, value) not in _AS_FUSE_DOES:
            return f"{name}={value}" if value else name
    return ""


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
