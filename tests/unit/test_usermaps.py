"""Which user namespace a user's container gets, and what the spec keeps of its own."""

from typing import Any

import pytest

from ocishim import idmap
from ocishim.errors import SpecError
from ocishim.idmap import User

RICH = User(1000, 100, [(100000, 65536)], [(200000, 65536)])
POOR = User(1000, 100, without="no ids for uid 1000 in /etc/subuid and /etc/subgid")
OWN = ([(0, 1000, 1), (1, 100000, 65536)], [(0, 100, 1), (1, 200000, 65536)])
ONE = ([(0, 1000, 1)], [(0, 100, 1)])
MARK: dict[Any, Any] = {("annotations",): {idmap.MADE: "ocishim's"}}
KINDS = [{"type": "pid"}, {"type": "mount"}]
WITHOUT: dict[Any, Any] = {
    ("linux", "namespaces"): KINDS,
    ("linux", "uidMappings"): [],
    ("linux", "gidMappings"): [],
}


def linux(uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]) -> dict[str, Any]:
    return {
        "namespaces": [KINDS[0], {"type": "user"}, KINDS[1]],
        "uidMappings": [entry(*each) for each in uids],
        "gidMappings": [entry(*each) for each in gids],
    }


def entry(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


@pytest.mark.parametrize(
    ("user", "spec", "maps", "edits"),
    [
        (RICH, {}, OWN, MARK),
        (POOR, {}, ONE, MARK),
        (RICH, {"annotations": {"a": "b"}}, OWN, {("annotations", idmap.MADE): "ocishim's"}),
        # As runc spec --rootless writes it: one id.
        (RICH, {"linux": linux(*ONE)}, ONE, {**WITHOUT, **MARK}),
        # Wider, the user is root.
        (RICH, {"linux": linux(*OWN)}, OWN, {**WITHOUT, **MARK}),
        # The user is not in it: a second namespace, in ids of the first.
        (
            RICH,
            {"linux": linux([(0, 100000, 1000)], [(0, 200010, 10)])},
            OWN,
            {
                ("linux", "uidMappings"): [entry(0, 1, 1000)],
                ("linux", "gidMappings"): [entry(0, 11, 10)],
                **MARK,
            },
        ),
        # A range that the first namespace has in two pieces.
        (
            User(1000, 100, [(100000, 10), (100010, 10)], [(200000, 65536)]),
            {"linux": linux([(0, 100005, 10)], [(0, 200000, 1)])},
            ([(0, 1000, 1), (1, 100000, 10), (11, 100010, 10)], OWN[1]),
            {
                ("linux", "uidMappings"): [entry(0, 6, 5), entry(5, 11, 5)],
                ("linux", "gidMappings"): [entry(0, 1, 1)],
                **MARK,
            },
        ),
        # Mappings without a user namespace are nobody's.
        (RICH, {"linux": {"namespaces": KINDS, "uidMappings": [entry(0, 5, 1)]}}, OWN, MARK),
        # A subordinate range that holds the user's own id.
        (User(1000, 100, [(900, 200)], [(200000, 1)]), {}, (ONE[0], [(0, 100, 1), (1, 200000, 1)]), MARK),
    ],
)
def test_the_namespace_and_the_change_to_the_spec(
    user: User, spec: dict[str, Any], maps: tuple[object, object], edits: dict[object, object]
) -> None:
    found = idmap.choose(spec, user)

    assert ("", maps, edits) == (found.path, (found.uids, found.gids), found.edits)


def test_more_ranges_than_the_kernel_takes_are_left_out() -> None:
    granted = [(100_000 + 2 * number, 1) for number in range(400)]

    maps = idmap.choose({}, User(1000, 100, granted, [(200000, 1)]))

    assert (maps.uids[:2], len(maps.uids)) == ([(0, 1000, 1), (1, 100_000, 1)], 323)
    assert len(idmap.same(1000, [(first + 3_000_000_000, 1) for first, _ in granted])) == 171


def test_a_namespace_by_path_is_joined() -> None:
    spec: dict[str, Any] = {"linux": {"namespaces": [*KINDS, {"type": "user", "path": "/proc/5/ns/user"}]}}

    found = idmap.choose(spec, RICH)

    assert (
        found.path,
        found.uids,
        found.edits,
    ) == ("/proc/5/ns/user", [], {("linux", "namespaces"): KINDS, **MARK})


@pytest.mark.parametrize(
    ("user", "limits"),
    [
        (RICH, []),
        (
            POOR,
            [
                "one user and one group are mapped (no ids for uid 1000 in /etc/subuid and /etc/subgid): "
                "chown to others fails, and files of others belong to nobody"
            ],
        ),
        (
            User(1000, 100, [(100000, 5)]),
            [
                "only one user or one group is mapped: chown to others fails, and files of others belong to "
                "nobody"
            ],
        ),
    ],
)
def test_what_one_id_limits_is_said(user: User, limits: list[str]) -> None:
    assert limits == idmap.choose({}, user).limits


def test_with_one_id_a_terminal_gets_no_group_that_is_not_mapped() -> None:
    mounts = [
        {"type": "proc", "destination": "/proc"},
        {"type": "devpts", "destination": "/dev/pts", "options": ["nosuid", "mode=0620", "gid=5"]},
    ]

    assert (idmap.choose({"mounts": mounts}, POOR).edits) == {
        ("mounts", 1, "options"): ["nosuid", "mode=0620"],
        **MARK,
    }
    assert idmap.choose({"mounts": mounts}, RICH).edits == MARK


@pytest.mark.parametrize(
    ("user", "spec", "what", "page"),
    [
        (RICH, {"linux": linux(ONE[0], [])}, "linux.gidMappings", ""),
        (RICH, {"linux": linux([], ONE[1])}, "linux.uidMappings", ""),
        (RICH, {"linux": linux([(0, 5, 1)], ONE[1])}, "linux.uidMappings[0]", "OVL-UNS-11"),
        (
            RICH,
            {"linux": linux([(0, 1000, 1), (1, 165530, 10)], ONE[1])},
            "linux.uidMappings[1]",
            "OVL-UNS-11",
        ),
        (POOR, {"linux": linux(*OWN)}, "linux.uidMappings[1]", "OVL-UNS-11"),
        (
            RICH,
            {"linux": {"namespaces": [{"type": "user", "path": 5}]}},
            "linux.namespaces[0].path",
            "OVL-RUN-08",
        ),
        (RICH, {"linux": {"namespaces": [{"type": "user"}] * 2}}, "linux.namespaces[1]", ""),
        (RICH, {"annotations": ["a"]}, "annotations", "OVL-RUN-08"),
        (POOR, {"process": {"user": {"uid": 1, "gid": 0}}}, "process.user.uid", "OVL-UNS-12"),
        (POOR, {"process": {"user": {"uid": 0, "gid": 1}}}, "process.user.gid", "OVL-UNS-12"),
        (
            RICH,
            {"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [5, 65537]}}},
            "process.user.additionalGids",
            "OVL-UNS-12",
        ),
        (
            RICH,
            {"linux": linux(*ONE), "process": {"user": {"uid": 7, "gid": 0}}},
            "process.user.uid",
            "OVL-UNS-12",
        ),
    ],
)
def test_a_spec_that_cannot_be_mapped_is_refused(
    user: User, spec: dict[str, Any], what: str, page: str
) -> None:
    with pytest.raises(SpecError) as e:
        idmap.choose(spec, user)

    assert (what, page) == (e.value.what, e.value.page)
