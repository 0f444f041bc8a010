"""Id mappings of an overlay's entry, pure: read, checked, and what they make of an owner."""

from .errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Ranges = tuple[tuple[int, int, int], ...]

_FIELDS = ("containerID", "hostID", "size")
#: 4294967295 is no id: it stands for "leave as it is".
_IDS = 0xFFFFFFFF
#: The kernel takes one write of less than a page, and so many lines (user_namespaces(7)).
_LONGEST_MAP = 4095
_MOST_RANGES = 340


class IdMap:
    """Which owner on disk is which one in the overlay.

    `uid` and `gid` are ranges: the first id on disk (containerID), the first one shown (hostID), how many.
    The ids shown are those of the user namespace that mounts. `is_own` tells that the entry has them itself,
    and not the container's user namespace.
    """

    __slots__ = ("gid", "is_own", "uid")

    def __init__(self, uid: "Ranges", gid: "Ranges", is_own: bool = True) -> None:
        self.uid = uid
        self.gid = gid
        self.is_own = is_own

    def has(self, uid: int, gid: int) -> bool:
        """Tell whether an owner on disk has a mapping."""
        return all(
            any(0 <= id_ - disk < size for disk, _, size in ranges)
            for id_, ranges in ((uid, self.uid), (gid, self.gid))
        )

    def mounter(self, uid: int, gid: int) -> tuple[int, int]:
        """Give the ids to mount as: these where they are shown, else the first ones that are.

        What overlayfs makes for itself belongs to whoever mounts: without a mapping the kernel answers
        EOVERFLOW to that, and the overlay comes up read-only.
        """
        return _among(uid, self.uid)[1], _among(gid, self.gid)[1]

    def stored(self, uid: int, gid: int) -> tuple[int, int]:
        """Give the owner on disk of what `mounter` of these ids makes."""
        return _among(uid, self.uid)[0], _among(gid, self.gid)[0]

    @property
    def texts(self) -> tuple[str, str]:
        """The two as a user namespace is given them: uid_map, gid_map."""
        return _text(self.uid), _text(self.gid)

    def describe(self) -> list[str]:
        """Say who becomes whom, a line for each range."""
        if self.uid == self.gid:
            return [f"uid and gid {_shown(each)}" for each in self.uid]
        return [f"uid {_shown(each)}" for each in self.uid] + [f"gid {_shown(each)}" for each in self.gid]


def _among(id_: int, ranges: "Ranges") -> tuple[int, int]:
    """Give an id on disk and what it is shown as: of the one that is shown so, else the first."""
    for disk, shown, size in ranges:
        if 0 <= id_ - shown < size:
            return disk + id_ - shown, id_
    return ranges[0][:2]


def _text(ranges: "Ranges") -> str:
    return "".join(f"{disk} {shown} {size}\n" for disk, shown, size in ranges)


def _shown(each: tuple[int, int, int]) -> str:
    disk, shown, size = each
    if size == 1:
        return f"{disk} of the layers is {shown}"
    return f"{disk}-{disk + size - 1} of the layers are {shown}-{shown + size - 1}"


def read(where: str, entry: dict[str, object], option: str, spec: dict[str, object]) -> IdMap | None:
    """Read the mappings of an entry of mounts[]; `option` is idmap or ridmap if it has one of them, else "".

    None where it asks for none. Raises SpecError for what the kernel would not take.
    """
    uid = ranges(f"{where}.uidMappings", entry.get("uidMappings"))
    gid = ranges(f"{where}.gidMappings", entry.get("gidMappings"))
    if "=" in option:
        raise SpecError(
            f"{where}.options",
            f'"{option}": only crun takes a value',
            "write uidMappings and gidMappings",
        )
    if uid and gid:
        return IdMap(uid, gid)
    if uid or gid:
        has, lacks = ("uidMappings", "gidMappings") if uid else ("gidMappings", "uidMappings")
        raise SpecError(
            f"{where}.{has}", f"without {lacks}", f"add {lacks}: ids that it leaves out are nobody's"
        )
    return _of_container(f"{where}.options", option, spec) if option else None


def _of_container(where: str, option: str, spec: dict[str, object]) -> IdMap:
    linux = spec.get("linux")
    fields = linux if isinstance(linux, dict) else {}
    entries = fields.get("namespaces")
    user = [
        each
        for each in (entries if isinstance(entries, list) else ())
        if isinstance(each, dict) and each.get("type") == "user"
    ]
    remedy = "add uidMappings and gidMappings to the mount"
    if not user:
        raise SpecError(
            where, f'"{option}" without mappings, and the container has no user namespace', remedy
        )
    if user[0].get("path"):
        why = f'"{option}" without mappings, and the container\'s user namespace was made by others'
        raise SpecError(where, why, remedy)
    uid = ranges("linux.uidMappings", fields.get("uidMappings"))
    gid = ranges("linux.gidMappings", fields.get("gidMappings"))
    if not (uid and gid):
        raise SpecError(
            where, f'"{option}" without mappings, and linux.uidMappings or gidMappings is empty', remedy
        )
    return IdMap(uid, gid, is_own=False)


def ranges(where: str, value: object) -> "Ranges":
    """Read a list of mappings (OCI config-linux, "User namespace mappings"). Raises SpecError."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SpecError(where, "no array", "write [ … ]", "OVL-RUN-08")
    found: list[tuple[int, int, int]] = []
    for number, each in enumerate(value):
        found.append(_range(f"{where}[{number}]", each))
        _check_overlap(f"{where}[{number}]", found)
    if not fits(found):
        raise SpecError(where, f"{len(found)} ranges are more than the kernel takes", "join some of them")
    return tuple(found)


def fits(ranges: "Sequence[tuple[int, int, int]]") -> bool:
    """Tell whether the kernel takes so many ranges as a map."""
    return len(ranges) <= _MOST_RANGES and len(_text(tuple(ranges))) <= _LONGEST_MAP


def _range(where: str, value: object) -> tuple[int, int, int]:
    if not isinstance(value, dict):
        raise SpecError(where, "no object", 'write {"containerID": …, "hostID": …, "size": …}', "OVL-RUN-08")
    numbers = [value.get(field) for field in _FIELDS]
    for field, number in zip(_FIELDS, numbers, strict=True):
        if number is None:
            raise SpecError(f"{where}.{field}", "missing", "all three are needed")
        last = _IDS if field == "size" else _IDS - 1
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= last:
            raise SpecError(f"{where}.{field}", f"no number from 0 to {last}", "correct it")
    disk, shown, size = (int(str(number)) for number in numbers)
    if not size:
        raise SpecError(f"{where}.size", "0", "write how many ids it maps")
    if max(disk, shown) + size > _IDS:
        raise SpecError(f"{where}.size", f"it goes past the last id, {_IDS - 1}", "make it smaller")
    return disk, shown, size


def _check_overlap(where: str, ranges: "Sequence[tuple[int, int, int]]") -> None:
    """Refuse a last range that has an id of one before it, on disk or as shown."""
    *before, last = ranges
    for at, field in enumerate(_FIELDS[:2]):
        for number, each in enumerate(before):
            if each[at] < last[at] + last[2] and last[at] < each[at] + each[2]:
                raise SpecError(f"{where}.{field}", f"it has ids of range [{number}]", "map each id once")
