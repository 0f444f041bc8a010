"""One overlay of `mounts[]`: its entry parsed, checked for what it says, and named."""

from . import options
from .errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shift import IdMap

#: Pairs of options that the kernel refuses together (fs/overlayfs/params.c, ovl_fs_params_verify).
_CONFLICTS = (
    ("userxattr", "redirect_dir=on"),
    ("userxattr", "redirect_dir=follow"),
    ("userxattr", "metacopy=on"),
    ("metacopy=on", "redirect_dir=follow"),
    ("metacopy=on", "redirect_dir=off"),
    ("metacopy=on", "redirect_dir=nofollow"),
    ("metacopy=on", "nfs_export=on"),
    ("index=off", "nfs_export=on"),
    ("volatile", "fsync=auto"),
    ("volatile", "fsync=ordered"),
    ("volatile", "fsync=strict"),
    ("override_creds", "nooverride_creds"),
)
_ATIME = ("noatime", "relatime", "strictatime")


class OverlayMount:
    """What one entry asks for, in the kernel's words.

    `lower` and `data` are paths as written, top → bottom; `upper` and `work` are "" for a read-only overlay.
    `options` holds overlay's own options by name ("" for a flag), `flags` the mount's flags that are set,
    `cleared` those that the entry clears in so many words. `idmap` shifts the owners of the layers, by
    mappings of the entry's own or, with the word `idmap_option`, by the container's.
    """

    __slots__ = (
        "cleared",
        "data",
        "destination",
        "flags",
        "idmap",
        "idmap_option",
        "index",
        "lower",
        "lsm",
        "options",
        "propagation",
        "source",
        "upper",
        "work",
    )

    def __init__(self, index: int, destination: str, source: str) -> None:
        self.index = index
        self.destination = destination
        self.source = source
        self.lower: list[str] = []
        self.data: list[str] = []
        self.upper = ""
        self.work = ""
        self.options: dict[str, str] = {}
        self.lsm: dict[str, str] = {}
        self.flags: list[str] = []
        self.cleared: list[str] = []
        self.propagation: list[str] = []
        self.idmap: IdMap | None = None
        self.idmap_option = ""

    @property
    def where(self) -> str:
        """The entry's JSON path."""
        return f"mounts[{self.index}]"

    @property
    def read_only(self) -> bool:
        """Whether writes must fail: there is no upperdir, or `ro` is set."""
        return not self.upper or "ro" in self.flags


def find(spec: dict[str, object]) -> list[OverlayMount]:
    """Find the overlays of a spec, in its order. Raises SpecError for what no host could mount."""
    mounts = spec.get("mounts")
    if mounts is None:
        return []
    if not isinstance(mounts, list):
        raise SpecError("mounts", f"{_type(mounts)} instead of an array", "write [ … ]", "OVL-RUN-08")
    found = []
    for index, entry in enumerate(mounts):
        if not isinstance(entry, dict):
            raise SpecError(
                f"mounts[{index}]", f"{_type(entry)} instead of an object", "write { … }", "OVL-RUN-08"
            )
        if is_overlay(entry):
            found.append(_parse(index, entry, spec))
        else:
            _check_other(index, entry)
    return found


def _check_other(index: int, entry: dict[str, object]) -> None:
    """Refuse an overlay that would not be taken for one: runsc starts without it, a bind shows one layer."""
    words = entry.get("options")
    said = [word for word in words if isinstance(word, str)] if isinstance(words, list) else []
    if not any(word.lstrip().startswith(("lowerdir=", "lowerdir+=")) for word in said):
        return
    kind = entry.get("type")
    if kind == "overlay":
        raise SpecError(
            f"mounts[{index}].options",
            "bind or rbind makes a bind mount of it, and overlay's options would mean nothing",
            "remove one or the other",
        )
    if (
        not kind
        or not isinstance(kind, str)
        or kind.strip().casefold() in ("overlay", "overlayfs", "overlay2")
    ):
        shown = f'"{kind}"' if isinstance(kind, str) else "missing" if kind is None else _type(kind)
        raise SpecError(f"mounts[{index}].type", f"{shown}, with overlay's options", 'write "overlay"')


def label_of(spec: dict[str, object]) -> str:
    """Give the label that a spec's mounts get (OCI config-linux.md, mountLabel), "" for none."""
    linux = spec.get("linux")
    return _string("linux.mountLabel", linux.get("mountLabel", "")) if isinstance(linux, dict) else ""


def label(mounts: "Sequence[OverlayMount]", context: str) -> None:
    """Give overlays without a context of their own this one."""
    for mount in mounts:
        mount.lsm.setdefault("context", context)


def is_overlay(entry: dict[str, object]) -> bool:
    """Tell whether an entry of mounts[] is an overlay; with `bind` or `rbind` it is a bind mount."""
    if entry.get("type") != "overlay":
        return False
    words = entry.get("options")
    return not (isinstance(words, list) and ("bind" in words or "rbind" in words))


def _parse(index: int, entry: dict[str, object], spec: dict[str, object]) -> OverlayMount:
    where = f"mounts[{index}]"
    destination = _string(f"{where}.destination", entry.get("destination", ""))
    if destination[:1] != "/":
        raise SpecError(
            f"{where}.destination",
            f'"{destination}" is not absolute' if destination else "missing",
            "write the path inside the container, from /",
        )
    mount = OverlayMount(index, destination, _string(f"{where}.source", entry.get("source", "")) or "overlay")
    words = entry.get("options", [])
    if not isinstance(words, list):
        raise SpecError(
            f"{where}.options", f"{_type(words)} instead of an array", "write [ … ]", "OVL-RUN-08"
        )
    for number, element in enumerate(words):
        at = f"{where}.options[{number}]"
        for word in options.split(_string(at, element)):
            _take(mount, at, word)
    _check(mount)
    if mount.idmap_option or "uidMappings" in entry or "gidMappings" in entry:
        from . import shift

        mount.idmap = shift.read(where, entry, mount.idmap_option, spec)
    return mount


def _take(mount: OverlayMount, at: str, word: str) -> None:
    name, equals, value = word.partition("=")
    if name in options.PATHS:
        _take_path(mount, at, name, value)
    elif name in options.KERNEL:
        _take_option(mount, at, word)
    elif word in options.FLAGS:
        flag, is_set = options.FLAGS[word]
        if flag in (mount.cleared if is_set else mount.flags):
            raise SpecError(at, f'"{word}" contradicts an earlier option', "keep one of the two")
        into = mount.flags if is_set else mount.cleared
        if flag not in into:
            into.append(flag)
    elif word in options.PROPAGATION:
        mount.propagation.append(word)
    elif name in options.LSM and equals:
        if mount.lsm.setdefault(name, value.strip('"')) != value.strip('"'):
            raise SpecError(at, f'second "{name}" with another value', "keep one of the two")
    elif word in ("nosymfollow", "rnosymfollow"):
        raise SpecError(at, f"{word}: runtimes do not keep it on a bind mount", "remove it")
    elif name in options.IDMAP:
        mount.idmap_option = word
    elif word and word not in options.NEUTRAL:
        from . import hint

        remedy = hint.on_option(name, equals)
        raise SpecError(at, f'unknown overlay option "{word}"', remedy, "OVL-OPT-25")


def _take_path(mount: OverlayMount, at: str, name: str, value: str) -> None:
    if not value:
        raise SpecError(at, f"{name} without a path", f"write {name}=DIR")
    if name == "lowerdir":
        if mount.lower or mount.data:
            raise SpecError(at, "lowerdir besides other lower layers", "join them with : or use lowerdir+")
        try:
            mount.lower, mount.data = options.lower_list(value)
        except ValueError as e:
            remedy = "write DIR:DIR, and \\: in a name"
            raise SpecError(at, f"lowerdir={value}: {e}", remedy, "OVL-OPT-09") from None
    elif name == "lowerdir+":
        if mount.data:
            raise SpecError(at, "lowerdir+ behind a data-only layer", "move it in front of datadir+")
        mount.lower.append(value.replace("\\,", ","))
    elif name == "datadir+":
        mount.data.append(value.replace("\\,", ","))
    else:
        path = options.unescape(value)
        if not path:
            raise SpecError(at, f"{name} without a path", f"write {name}=DIR")
        if getattr(mount, name.removesuffix("dir")):
            raise SpecError(at, f"second {name}", "keep one of the two")
        setattr(mount, name.removesuffix("dir"), path)


def _take_option(mount: OverlayMount, at: str, word: str) -> None:
    name, equals, value = word.partition("=")
    known = options.KERNEL[name]
    if known is None and equals:
        raise SpecError(at, f'"{word}": {name} takes no value', f"write {name}", "OVL-OPT-25")
    if known is not None and value not in known:
        why = f'"{word}" is none of {", ".join(known)}'
        raise SpecError(at, why, f"write {name}={known[0]}", "OVL-OPT-25")
    if mount.options.setdefault(name, value) != value:
        raise SpecError(at, f'"{word}" contradicts {name}={mount.options[name]}', "keep one of the two")


def _check(mount: OverlayMount) -> None:
    where = f"{mount.where}.options"
    if not mount.lower:
        raise SpecError(where, "overlay without lowerdir", "add lowerdir=DIR[:DIR…]", "OVL-OPT-19")
    if mount.upper and not mount.work:
        raise SpecError(
            where,
            f"upperdir={mount.upper} without workdir",
            "add workdir=DIR on the same filesystem",
            "OVL-OPT-19",
        )
    if mount.work and not mount.upper:
        why = f"workdir={mount.work} without upperdir"
        raise SpecError(where, why, "add upperdir=DIR, or remove it", "OVL-OPT-19")
    if not mount.upper:
        _check_without_upper(mount, where)
    if len(mount.lower) + len(mount.data) > 500:
        why = f"{len(mount.lower) + len(mount.data)} lower layers: the kernel takes 500"
        raise SpecError(where, why, "merge some of the layers", "OVL-OPT-02")
    asked = {name if not value else f"{name}={value}" for name, value in mount.options.items()}
    for one, other in _CONFLICTS:
        if one in asked and other in asked:
            why = f"{one} and {other} contradict each other"
            raise SpecError(where, why, "keep one of the two", "OVL-OPT-07")
    atime = [flag for flag in _ATIME if flag in mount.flags]
    if len(atime) > 1:
        raise SpecError(where, f"{' and '.join(atime)} contradict each other", "keep one")


def _check_without_upper(mount: OverlayMount, where: str) -> None:
    for name in ("volatile", "fsync", "index", "uuid"):
        value = mount.options.get(name)
        if value is not None and value not in ("off", "auto", "null"):
            word = f"{name}={value}" if value else name
            raise SpecError(where, f"{word} means nothing without upperdir", "remove it")


def _string(where: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SpecError(where, f"{_type(value)} instead of a string", 'write "…"', "OVL-RUN-08")
    if "\0" in value:
        raise SpecError(where, "NUL in it", "no path or option can hold it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SpecError(where, "half a surrogate pair in it", "write whole characters") from None
    return value


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), "null")
