"""Id maps of user namespaces, pure: the one a user's container is made in, and what the spec keeps."""

from .errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Ids in the namespace, the ids outside that they stand for, how many (user_namespaces(7)).
    Range = tuple[int, int, int]
    Edits = dict[tuple[str | int, ...], object]

#: Marks a container whose user namespace ocishim made: a later command must join it first.
MADE = "dev.ocishim/user-namespace"
_VALUE = "ocishim's"


class User:
    """Who runs ocishim: ids, and the ranges of subordinate ids (first, count) that they may map.

    `without` says why there are none.
    """

    __slots__ = ("gid", "subgids", "subuids", "uid", "without")

    def __init__(
        self,
        uid: int,
        gid: int,
        subuids: "Sequence[tuple[int, int]]" = (),
        subgids: "Sequence[tuple[int, int]]" = (),
        without: str = "",
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.subuids = subuids
        self.subgids = subgids
        self.without = without


class Namespace:
    """The user namespace for a container: one to make with these maps, or one to join by its path.

    `edits` are what the runtime's spec has otherwise then, `limits` what a person should know of the maps.
    """

    __slots__ = ("edits", "gids", "limits", "path", "uids")

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.uids: list[Range] = []
        self.gids: list[Range] = []
        self.edits: Edits = {}
        self.limits: list[str] = []

    def describe(self) -> list[str]:
        """Say to a person which namespace it is, and what it limits."""
        if self.path:
            return [f"joined: {self.path}", *self.limits]
        return [f"made: users {told(self.uids)}", f"groups {told(self.gids)}", *self.limits]

    @property
    def is_single(self) -> bool:
        """Whether one user and one group is all there is."""
        return _count(self.uids) == 1 and _count(self.gids) == 1


def choose(spec: dict[str, object], user: User, fills_in: bool = False) -> Namespace:
    """Find the user namespace that a user's container is made in. Raises SpecError if there is none.

    A spec's own maps keep their meaning (OCI config-linux, "User namespace mappings"): where they make the
    user root they are the namespace's, else the runtime makes a second namespace inside, with the same ids.
    `fills_in` tells whether the runtime maps the user's own ids where the spec has no maps, as in what
    `crun spec --rootless` writes.
    """
    where, entry = _entry(spec)
    path = entry.get("path") if entry else None
    if path is not None and not isinstance(path, str):
        raise SpecError(f"{where}.path", "no string", "name a user namespace", "OVL-RUN-08")
    if path:
        found = Namespace(path)
        found.edits |= _without_namespace(spec) | _mark(spec)
        return found
    found = Namespace()
    uids, gids = _asked(spec, "uidMappings"), _asked(spec, "gidMappings")
    if entry and fills_in and not uids and not gids:
        found.edits |= _without_namespace(spec)
        entry = None
    if entry and not (uids and gids):
        missing = "gidMappings" if uids else "uidMappings"
        raise SpecError(f"linux.{missing}", f"missing, with a user namespace in {where}", "add both mappings")
    found.uids, found.gids = own(user.uid, user.subuids), own(user.gid, user.subgids)
    _check_process(spec, uids if entry else found.uids, gids if entry else found.gids)
    if entry:
        inner: Edits = {
            ("linux", "uidMappings"): _inner(uids, found.uids, "uidMappings"),
            ("linux", "gidMappings"): _inner(gids, found.gids, "gidMappings"),
        }
        if (_first(uids), _first(gids)) == (user.uid, user.gid):
            found.uids, found.gids = uids, gids
            found.edits |= _without_namespace(spec)
        else:
            found.edits |= inner
    if _count(found.uids) == 1 or _count(found.gids) == 1:
        found.limits.append(_limit(found, user))
    found.edits |= terminals(spec, found.gids)
    found.edits |= _mark(spec)
    return found


def own(id_: int, subordinate: "Sequence[tuple[int, int]]") -> "list[Range]":
    """Map root to a user, and the ids from 1 on to the user's subordinate ids."""
    ranges: list[Range] = [(0, id_, 1)]
    inside = 1
    for first, count in subordinate:
        if first <= id_ < first + count:
            continue  # one id cannot stand for two
        ranges.append((inside, first, count))
        inside += count
    return _fitting(ranges)


def same(id_: int, subordinate: "Sequence[tuple[int, int]]") -> "list[Range]":
    """Map a user, and the user's subordinate ids, to themselves."""
    others = [(first, first, count) for first, count in subordinate if not first <= id_ < first + count]
    return _fitting([(id_, id_, 1), *others])


def _fitting(ranges: "list[Range]") -> "list[Range]":
    """Leave out the last ranges where the kernel would not take so many."""
    from . import shift

    while not shift.fits(ranges):
        ranges.pop()
    return ranges


def lines(ranges: "Sequence[Range]") -> str:
    """Write ranges as /proc/PID/uid_map takes them."""
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in ranges)


def ranges(text: str) -> "list[Range]":
    """Read ranges from /proc/PID/uid_map."""
    fields = (line.split() for line in text.splitlines())
    return [(int(inside), int(outside), int(count)) for inside, outside, count in fields]


def told(ranges: "Sequence[Range]") -> str:
    """Say ranges to a person: `0 → 1000, 1-65536 → 100000-165535`."""
    return ", ".join(f"{_span(inside, count)} → {_span(outside, count)}" for inside, outside, count in ranges)


def _span(first: int, count: int) -> str:
    return f"{first}" if count == 1 else f"{first}-{first + count - 1}"


def _count(ranges: "Sequence[Range]") -> int:
    return sum(count for _, _, count in ranges)


def _entry(spec: dict[str, object]) -> tuple[str, dict[str, object] | None]:
    linux = spec.get("linux")
    entries = linux.get("namespaces") if isinstance(linux, dict) else None
    found: tuple[str, dict[str, object] | None] = ("", None)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and entry.get("type") == "user":
            where = f"linux.namespaces[{index}]"
            if found[0]:
                raise SpecError(where, f"a second user namespace, besides {found[0]}", "remove one of them")
            found = where, entry
    return found


def _mark(spec: dict[str, object]) -> "Edits":
    annotations = spec.get("annotations")
    if isinstance(annotations, dict):
        return {("annotations", MADE): _VALUE}
    if annotations is not None:
        raise SpecError("annotations", "no object", "write { … }", "OVL-RUN-08")
    return {("annotations",): {MADE: _VALUE}}


def _without_namespace(spec: dict[str, object]) -> "Edits":
    """Take the user namespace out of a spec: the runtime runs inside it."""
    linux = spec["linux"]
    assert isinstance(linux, dict)
    kept = [each for each in linux["namespaces"] if not isinstance(each, dict) or each.get("type") != "user"]
    edits: Edits = {("linux", "namespaces"): kept}
    for name in ("uidMappings", "gidMappings"):
        if name in linux:
            edits["linux", name] = []
    return edits


def _asked(spec: dict[str, object], name: str) -> "list[Range]":
    from . import shift

    linux = spec.get("linux")
    return [*shift.ranges(f"linux.{name}", linux.get(name) if isinstance(linux, dict) else None)]


def _first(ranges: "Sequence[Range]") -> int:
    """Give the id outside that root in the namespace stands for, -1 for none."""
    return next((outside for inside, outside, _ in ranges if inside == 0), -1)


def _inner(asked: "Sequence[Range]", outer: "Sequence[Range]", name: str) -> list[dict[str, int]]:
    """Say a spec's map in ids of the namespace that the runtime runs in."""
    entries = []
    for index, (inside, outside, count) in enumerate(asked):
        while count:
            start = next(((a, b, c) for a, b, c in outer if b <= outside < b + c), None)
            if not start:
                from . import refusal

                granted = ", ".join(_span(first, many) for _, first, many in outer)
                raise refusal.of("OVL-UNS-11", f"linux.{name}[{index}]", id=outside, value=granted)
            size = min(count, start[1] + start[2] - outside)
            entries.append({"containerID": inside, "hostID": start[0] + outside - start[1], "size": size})
            inside, outside, count = inside + size, outside + size, count - size
    return entries


def _check_process(spec: dict[str, object], uids: "Sequence[Range]", gids: "Sequence[Range]") -> None:
    """Refuse a container's user or group that the namespace does not have."""
    process = spec.get("process")
    wanted = process.get("user") if isinstance(process, dict) else None
    if not isinstance(wanted, dict):
        return
    more = wanted.get("additionalGids")
    for field, ids, ranges in (
        ("uid", [wanted.get("uid")], uids),
        ("gid", [wanted.get("gid")], gids),
        ("additionalGids", more if isinstance(more, list) else [], gids),
    ):
        for id_ in ids:
            if isinstance(id_, int) and not any(a <= id_ < a + c for a, _, c in ranges):
                from . import refusal

                raise refusal.of("OVL-UNS-12", f"process.user.{field}", id=id_, value=told(ranges))


def _limit(found: Namespace, user: User) -> str:
    what = "one user and one group are" if found.is_single else "only one user or one group is"
    why = f" ({user.without})" if user.without else ""
    return f"{what} mapped{why}: chown to others fails, and files of others belong to nobody"


def terminals(spec: dict[str, object], gids: "Sequence[Range]") -> "Edits":
    """Leave out devpts' gid=5, which `runc spec` writes, where it is not mapped: the mount fails with EINVAL.

    `gids` is the map of the namespace that the runtime runs in; the spec's own comes before it.
    """
    edits: Edits = {}
    mounts = spec.get("mounts")
    mapped = (_entry(spec)[1] and _asked(spec, "gidMappings")) or gids
    for index, entry in enumerate(mounts if isinstance(mounts, list) else ()):
        options = entry.get("options") if isinstance(entry, dict) and entry.get("type") == "devpts" else None
        if isinstance(options, list):
            kept = [word for word in options if not _is_unmapped(word, mapped)]
            if kept != options:
                edits["mounts", index, "options"] = kept
    return edits


def _is_unmapped(word: object, gids: "Sequence[Range]") -> bool:
    if not isinstance(word, str) or not word.startswith("gid="):
        return False
    value = word.removeprefix("gid=")
    return value.isdecimal() and not any(a <= int(value) < a + c for a, _, c in gids)
