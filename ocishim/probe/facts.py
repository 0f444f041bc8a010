"""What is known of a host, as plain data that can be written down and judged elsewhere.

`load` reads what `doctor --format json` printed (schemas/facts.schema.json). Nothing hot loads this.
"""

from dataclasses import MISSING, dataclass, fields, is_dataclass  # noqa: TID253 - nothing hot loads this

from .overlays import BundleFacts


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that was tried: `result` is yes, no, or unknown where it could not be tried.

    Of a no: the `step` that failed, its `errno` by name, and what the kernel `said`.
    """

    result: str
    step: str = ""
    errno: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What runs, and whether it has fsopen(2) for overlays; `is_gvisor` tells that it is gVisor's sentry."""

    release: str
    machine: str
    new_mount_api: Attempt
    is_gvisor: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """Who ocishim is here; `capabilities` are the effective ones of host.CAPABILITIES, `seccomp` its mode."""

    uid: int
    capabilities: tuple[str, ...]
    no_new_privs: bool
    seccomp: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """The file system: registered, or its module's file (also modules.builtin), and the module's parameters.

    `options` were tried one by one, `tried` says where: here, in a new user namespace (userns), or nowhere.
    `idmapped` is an overlay of idmapped layers, made in the same place.
    """

    registered: bool
    module: str
    parameters: dict[str, str]
    tried: str
    options: dict[str, Attempt]
    idmapped: Attempt


@dataclass(frozen=True, slots=True)
class Trial:
    """A whole overlay on tmpfs, made here or in a new user namespace with one id.

    `operations` are errnos by name, empty for what worked; there are none where the mount failed.
    """

    where: str
    userxattr: bool
    mount: Attempt
    operations: dict[str, str]


@dataclass(frozen=True, slots=True)
class UserNamespaces:
    """Whether this is the initial one, told in three ways, and whether an ordinary user may make another.

    `by_xattr` and `tmpfs_xattr` (user.* on tmpfs) are None where they could not be tried. `subids` counts the
    subordinate ids of the user that `tried_as` names, `without` says why there are none; of root neither.
    """

    by_inode: bool
    by_uid_map: bool
    by_xattr: bool | None
    sysctls: dict[str, int]
    tried_as: int
    make: Attempt
    tmpfs_xattr: bool | None
    subids: int = 0
    without: str = ""


@dataclass(frozen=True, slots=True)
class Fuse:
    """FUSE and fuse-overlayfs; `device` is the errno of opening /dev/fuse, empty if it opens.

    `mount` was without a server. `served` is an overlay on tmpfs by fuse-overlayfs, and `operations` as in a
    Trial.
    """

    registered: bool
    module: str
    device: str
    mount: Attempt
    program: str
    version: str
    served: Attempt
    operations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A low-level runtime of the settings; `problem` says why it cannot be used.

    By its `features`, which not every runtime has: the first and the last OCI version that it takes, and the
    mount options that it knows.
    """

    name: str
    path: str
    kind: str
    version: str
    problem: str
    oci: tuple[str, ...]
    mount_options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a host, and of a `bundle` there. `ocishim` is the version that looked."""

    ocishim: str
    kernel: Kernel
    process: Process
    overlay: Overlay
    trials: tuple[Trial, ...]
    userns: UserNamespaces
    fuse: Fuse
    runtimes: tuple[Runtime, ...]
    bundle: BundleFacts | None = None


def load(text: str) -> Facts:
    """Read facts that `doctor --format json` printed. Raises ValueError with the path of what is wrong."""
    import json

    found = typed(Facts, json.loads(text), "facts")
    assert isinstance(found, Facts)
    return found


def typed(kind: object, value: object, where: str) -> object:
    """Make a value of the type that an annotation names; only the kinds that facts are made of.

    Raises ValueError with the path of what is wrong.
    """
    from types import UnionType
    from typing import get_args, get_origin

    parts = get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        names = {field.name: field.type for field in fields(kind)}
        for field in fields(kind):
            if field.name not in value and field.default is MISSING:
                name = field.name
                raise ValueError(f"{where}.{name} is missing")
        for name in value:
            if name not in names:
                raise ValueError(f"{where}.{name} is not known to this release")
        return kind(**{name: typed(names[name], each, f"{where}.{name}") for name, each in value.items()})
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(typed(parts[0], each, f"{where}[{at}]") for at, each in enumerate(value))
    if get_origin(kind) is dict and isinstance(value, dict):
        return {name: typed(parts[1], each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(kind, UnionType):
        return None if value is None else typed(parts[0], value, where)
    if type(value) is kind:
        return value
    raise ValueError(f"{where} is {type(value).__name__}, which is not what it should be")


def errno_name(error: OSError) -> str:
    """Give the name of an error's number."""
    import errno

    # Python names this number ENOTSUP.
    return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode.get(error.errno or 0, "EIO")
