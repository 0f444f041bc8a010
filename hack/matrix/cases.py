"""What verdicts are asked of: layers on file systems, options, privilege. Add a case by adding a line."""

import dataclasses
import itertools
from collections.abc import Collection, Iterator

from .exercise import FOREIGN, OWN, PSEUDO, READ
from .filesystems import PSEUDO as PSEUDO_SYSTEMS
from .privilege import ROOT, USERNS

USUAL = "usual"
HOST = "host"


@dataclasses.dataclass(frozen=True)
class Case:
    """One overlay; `layers` names how they are made (layers.py).

    `refuse` says why nothing but no is right, `may_refuse` why no is right whatever else works, `unknowable`
    why nobody who has this privilege can tell: what the case depends on is not to be seen there. The matrix
    does not take that on trust (see hidden.py), and counts such a case apart. `forced` is a backend that must
    be taken, and by what it is said: BACKEND-by-annotation, BACKEND-by-option.
    """

    lower: str
    upper: str
    privilege: str
    options: tuple[str, ...] = ()
    layers: str = USUAL
    kind: str = OWN
    refuse: str = ""
    may_refuse: str = ""
    unknowable: str = ""
    forced: str = ""

    @property
    def name(self) -> str:
        """Give lower/upper/privilege, then what is not usual."""
        special = [] if self.layers == USUAL else [self.layers]
        special += [self.forced] if self.forced else []
        return "/".join((self.lower, self.upper or "none", self.privilege, *special, *self.options))

    @property
    def backend(self) -> str:
        """Give the only backend that may be taken, "" for any."""
        return self.forced.partition("-")[0]


#: Every one of these below every one of _UPPERS, as root and in a user namespace.
_LOWERS = "ext4 xfs btrfs tmpfs squashfs fuse overlay".split()
_UPPERS = "ext4 xfs btrfs tmpfs ramfs xfs-noftype ext4-nofiletype overlay fuse hostfs vfat".split()
#: These against _FEW only.
_OTHER_LOWERS = "erofs vfat ramfs xfs-noftype ext4-nofiletype ext4-casefold overlay2 hostfs noexec".split()
_OTHER_UPPERS = "btrfs-subvolume btrfs-in-subvolume overlay2 read-only noexec squashfs proc".split()
_FEW = ("ext4", "tmpfs")
_BOTH = (ROOT, USERNS)

_OPTIONS: tuple[tuple[str, ...], ...] = (
    ("userxattr",),
    ("index=on",),
    ("metacopy=on",),
    ("redirect_dir=on",),
    ("metacopy=on", "redirect_dir=on"),
    ("xino=on",),
    ("volatile",),
    ("nfs_export=on",),
    ("index=on", "nfs_export=on"),
    ("userxattr", "volatile"),
)
_OPTION_PAIRS = (("ext4", "ext4"), ("tmpfs", "tmpfs"), ("ext4", "xfs"))

#: Layers that are special by how they came to be, each on ext4: see layers.py.
_SPECIAL = (
    "several",
    "many",
    "submount",
    "busy-work",
    "busy-upper",
    "work-elsewhere",
    "odd-names",
    "odd-lower",
    "around",
    "volatile-leftover",
    "index-leftover",
    *(
        f"{place}-by-{writer}"
        for writer in ("kernel", "userxattr", "metacopy", "redirect", "fuse", "fuse-rootless")
        for place in ("lower", "upper")
    ),
)
_CHANGES = "what a lower layer shows may not change under an overlay (overlayfs.rst, Changes to underlying…)"
_VOLATILE = "an overlay with volatile was made of this upper, which may be incomplete since"
_REFUSE = {
    "volatile-leftover": _VOLATILE,
    "busy-upper": "another overlay is mounted on this upper",
}
_HIDDEN = (
    "trusted.* attributes are not shown in a user namespace, and nothing else tells what the layer hides"
)
_UNKNOWABLE = {f"lower-by-{writer}": _HIDDEN for writer in ("kernel", "redirect")}
#: The part for the test suite: the ways in which overlays break, each on a kernel where it does, so that a
#: boot has few cases. On each there is at least one that mounts and then only looks well.
SAMPLE = {
    HOST: (
        "ext4/ext4/root",
        "ext4/ext4/userns",
        "ext4/ramfs/root",
        "ext4/ext4/root/busy-work",
        "ext4/tmpfs/root/full",
        "ext4/ext4/root/upper-by-metacopy",
        "ext4/ext4/userns/lower-by-redirect",
    ),
    # hostfs lists and does not read; userxattr is not known, and no overlay is allowed to a user.
    "bullseye": ("hostfs/tmpfs/root", "tmpfs/tmpfs/root/userxattr", "ext4/ext4/userns"),
    # tmpfs has no user.* attributes, which a user's overlay needs; ext4 here has no types of entries.
    "bookworm": ("tmpfs/tmpfs/userns", "ext4/ext4-nofiletype/root"),
    # The mount is read-only and says nothing; an option is dropped.
    "trixie": ("ext4/ext4/root/busy-work", "ext4/ext4/userns/index=on"),
    # Deleted files come back; what is made in workdir is the host's, who alone may open it.
    "forky": ("ext4/ext4/userns", "ext4/ext4/root/lower-by-fuse-rootless", "ext4/hostfs/userns"),
}


def of_zfs() -> list[Case]:
    """Give the cases of a guest with ZFS, each name once."""
    pairs = (("zfs", "zfs"), ("zfs", "tmpfs"), ("tmpfs", "zfs"))
    found = [Case(lower, upper, privilege) for privilege in _BOTH for lower, upper in pairs]
    found += [Case("zfs", "zfs", privilege, ("userxattr",)) for privilege in _BOTH]
    for option in ("index=on", "redirect_dir=on", "metacopy=on"):
        found.append(Case("zfs", "zfs", ROOT, (option,)))
    return [*found, *(Case("zfs", "", privilege, kind=READ) for privilege in _BOTH)]


def needed(names: Collection[str]) -> set[str]:
    """Give the file systems that these cases lie on, where they are mounted for all; ext4 is below many."""
    chosen = [case for case in all_cases() if case.name in names]
    return {_BELOW.get(name, name) for case in chosen for name in (case.lower, case.upper)} | {"ext4"}


def all_cases() -> list[Case]:
    """Give all cases but those of ZFS, each name once."""
    by_name: dict[str, Case] = {}
    for case in (*_product(), *_with_options(), *_specials()):
        by_name.setdefault(case.name, case)
    return list(by_name.values())


def _product() -> Iterator[Case]:
    for privilege in _BOTH:
        pairs = [
            *itertools.product(_LOWERS, _UPPERS),
            *itertools.product(_OTHER_LOWERS, _FEW),
            *itertools.product(_FEW, _OTHER_UPPERS),
        ]
        for lower, upper in pairs:
            yield Case(lower, upper, privilege)
        for lower, upper in itertools.product(PSEUDO_SYSTEMS, _FEW):
            yield Case(lower, upper, privilege, kind=PSEUDO, may_refuse=_CHANGES)


def _with_options() -> Iterator[Case]:
    for privilege in _BOTH:
        for (lower, upper), options in itertools.product(_OPTION_PAIRS, _OPTIONS):
            yield Case(lower, upper, privilege, options)
        for lower in (*_LOWERS, "vfat", "erofs"):
            yield Case(lower, "", privilege, kind=READ)
        yield Case("ext4", "", privilege, ("userxattr",), kind=READ)


def _specials() -> Iterator[Case]:
    for privilege in _BOTH:
        for layers in _SPECIAL:
            unknowable = _UNKNOWABLE.get(layers, "") if privilege == USERNS else ""
            refuse = _REFUSE.get(layers, "")
            yield Case("ext4", "ext4", privilege, (), layers, refuse=refuse, unknowable=unknowable)
        for options in (("index=on",), ("metacopy=on",), ("redirect_dir=on",), ("userxattr",)):
            yield Case("ext4", "ext4", privilege, options, f"lower-by-{_WRITER[options[0]]}")
        yield Case(
            "ext4", "ext4", privilege, ("index=on",), "index-leftover",
            refuse="index=on means that upper is refused on other lowers than its own",
        )  # fmt: skip
        yield Case("ext4", "", privilege, (), "several", READ)
        yield Case("tmpfs", "tmpfs", privilege, (), "many")
        yield Case("tmpfs", "ext4", privilege, (), "several")
        yield Case("tmpfs", "tmpfs", privilege, (), "around")
        for layers in ("full", "no-inodes"):
            yield Case("ext4", "tmpfs", privilege, (), layers)
        for data_only in ((), ("metacopy=on",), ("metacopy=on", "redirect_dir=on")):
            yield Case("ext4", "ext4", privilege, data_only, "data-only")
        for forced in ("kernel-by-annotation", "kernel-by-option", "fuse-by-annotation", "fuse-by-option"):
            yield Case("ext4", "ext4", privilege, forced=forced)
        yield Case("ext4", "ext4", privilege, ("index=on",), forced="fuse-by-option")
        yield Case("ext4", "fuse", privilege, forced="kernel-by-annotation")
        yield Case("ext4", "ext4", privilege, (), "lower-by-fuse-rootless", forced="kernel-by-option")
    for upper in _FEW:
        yield Case("ext4", upper, USERNS, (), "foreign", FOREIGN)
        yield Case("tmpfs", upper, USERNS, (), "foreign", FOREIGN)


_BELOW = {"btrfs-subvolume": "btrfs", "btrfs-in-subvolume": "btrfs"}
_WRITER = {
    "index=on": "kernel",
    "metacopy=on": "metacopy",
    "redirect_dir=on": "redirect",
    "userxattr": "userxattr",
}
