"""What is known of a bundle's overlays, as plain data that can be written down and judged elsewhere.

survey.py finds it out. Nothing hot loads this.
"""

from dataclasses import dataclass  # noqa: TID253 - nothing hot loads this


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer. `problem` says why it cannot be opened; then the rest is empty.

    `kind` is the file system's as mountinfo names it, `source` where it comes from, `options` those of the
    mount and `super_options` those of the file system. `free` is in bytes, -1 where there is no limit, and
    `free_inodes` likewise. `abilities` are tried in workdir: errno by name, empty for what works. `submounts`
    are mount points inside, `owner` is the uid of its root, `marks` tell what other overlays left in it:
    `name in path`. `device` is the file system's as mountinfo has it, `uuid` its UUID, "" where the kernel
    does not tell. `label` is SELinux' of the root. Of a lower layer `written_by` names another overlay's
    user, and `hard_links` are the files with several names in it, as far as was looked. `idmap` is the errno
    of idmapping it, empty if that works or the spec does not ask for it. `mount_id` tells the mount by which
    it is reached, as long as the machine runs, -1 unknown. `unmapped` is something in a lower layer whose
    owner has no id in this user namespace.
    """

    role: str
    written: str
    path: str
    problem: str
    name: str
    kind: str
    source: str
    mount_point: str
    options: str
    super_options: str
    read_only: bool
    free: int
    free_inodes: int
    is_subvolume: bool
    ignores_case: bool
    has_acl: bool
    file_handles: str
    owner: int
    submounts: tuple[str, ...]
    marks: tuple[str, ...]
    abilities: dict[str, str]
    device: str = ""
    uuid: str = ""
    label: str = ""
    written_by: str = ""
    hard_links: int = 0
    idmap: str = ""
    mount_id: int = -1
    unmapped: str = ""


@dataclass(frozen=True, slots=True)
class CandidateFacts:
    """One backend: its exact options, and why it was rejected, "" if it may be taken."""

    backend: str
    options: tuple[str, ...]
    added: dict[str, str]
    rejected: str
    remedy: str
    page: str


@dataclass(frozen=True, slots=True)
class MountFacts:
    """One overlay: `refused`, if it is, in the words of `ocishim run`, else the `backend`.

    `all_seen` tells whether the search for marks saw every entry that matters, `context` is the label that
    SELinux gives all its files, `flags` are the mount's that are set.
    """

    where: str
    destination: str
    read_only: bool
    layers: tuple[LayerFacts, ...]
    candidates: tuple[CandidateFacts, ...]
    backend: str
    refused: str
    remedy: str
    page: str
    all_seen: bool
    context: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """The overlays of a bundle. `refused` is what stops it besides a single overlay.

    `zfs` is the version of the module, "" without; `is_initial` tells the initial user namespace, `namespace`
    says which one ocishim makes or joins for it, in lines for people. `selinux` is the label of the
    container's processes, "" where SELinux does not enforce or the spec has none.
    """

    path: str
    runtime: str
    zfs: str
    is_initial: bool
    mounts: tuple[MountFacts, ...]
    refused: str
    remedy: str
    page: str
    namespace: tuple[str, ...] = ()
    selinux: str = ""
