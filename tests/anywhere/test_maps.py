"""Whose ids a user's container has: the spec's own maps keep their meaning, and others are refused."""

import os
import subprocess
from collections.abc import Callable, Iterator

import account
import pytest
from anywhere.people import OwnBundle, Person
from harness import Result

Maps = list[tuple[int, int, int]]


@pytest.fixture
def who() -> str:
    return "user"


class Ids:
    """The ids of the user of the tests."""

    def __init__(self, person: Person) -> None:
        self.uid, self.gid = person.uid, person.gid
        self.subuid, self.count = account.subordinate()
        self.subgid, _ = account.subordinate("/etc/subgid")


@pytest.fixture
def ids(person: Person) -> Ids:
    return Ids(person)


@pytest.fixture
def layers(person: Person, bundle: OwnBundle, ids: Ids) -> OwnBundle:
    """Make an overlay with files of the user, and of the one who is uid 1000 where 1 is the first sub-id."""
    lower = bundle.layer("lower", user="", other="")
    os.chown(lower / "other", ids.subuid + 999, ids.subgid + 999)
    bundle.overlay()
    return bundle


def test_a_user_has_the_granted_ids(
    person: Person, layers: OwnBundle, ids: Ids, runtime: str, backend: str
) -> None:
    layers.work("stat -c '%u:%g %n' /ov/*; touch /ov/mine; chown 1000:1000 /ov/mine; stat -c %u:%g /ov/mine")

    result = person.container(runtime, layers, "--overlay", backend)

    assert result == Result(0, "1000:1000 /ov/other\n0:0 /ov/user\n1000:1000\n", "")
    found = (layers.directory / "upper/mine").stat()
    assert (found.st_uid, found.st_gid) == (ids.subuid + 999, ids.subgid + 999)


#: Maps in words: of the user, and of the granted ids from the nth on; what a container sees; who root is.
SPECS: dict[str, tuple[Callable[[int], Maps], Callable[[int], Maps], list[str]]] = {
    "as runc spec --rootless writes": (
        lambda i: [(0, i, 1)],
        lambda s: [],
        ["65534:65534 /ov/other", "0:0 /ov/user"],
    ),
    "with the granted ids": (
        lambda i: [(0, i, 1)],
        lambda s: [(1, s, 65535)],
        ["1000:1000 /ov/other", "0:0 /ov/user"],
    ),
    "with some of them": (
        lambda i: [(0, i, 1)],
        lambda s: [(10, s + 990, 100)],
        ["19:19 /ov/other", "0:0 /ov/user"],
    ),
    "without the user": (
        lambda i: [],
        lambda s: [(0, s, 65535)],
        ["999:999 /ov/other", "65534:65534 /ov/user"],
    ),
    "with the user as another": (
        lambda i: [(1000, i, 1)],
        lambda s: [(0, s, 1000), (1001, s + 1000, 1000)],
        ["999:999 /ov/other", "1000:1000 /ov/user"],
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_s_own_maps_keep_their_meaning(
    person: Person, layers: OwnBundle, ids: Ids, runtime: str, backend: str, name: str
) -> None:
    own, granted, seen = SPECS[name]
    uids = sorted([*own(ids.uid), *granted(ids.subuid)])
    gids = sorted([*own(ids.gid), *granted(ids.subgid)])
    layers.with_namespace(uids, gids)
    (layers.directory / "upper").chmod(0o777)
    layers.work("cd /ov; stat -c '%u:%g %n' /ov/*; echo new >new; mkdir d; touch d/f; mv d e; rm -r e; ls")

    result = person.container(runtime, layers, "--overlay", backend)

    assert result == Result(0, "\n".join([*seen, "new", "other", "user", ""]), "")
    found = (layers.directory / "upper/new").stat()
    root = next(outside for inside, outside, _ in uids if not inside)
    group = next(outside for inside, outside, _ in gids if not inside)
    assert (found.st_uid, found.st_gid) == (root, group)


@pytest.fixture
def held(person: Person) -> Iterator[int]:
    """Let a process of the user hold a user namespace; give its pid."""
    command = ["unshare", "--user", "--map-root-user", "--map-auto", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen([*person.become, *command], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


def test_a_namespace_by_path_is_joined(
    person: Person, layers: OwnBundle, held: int, runtime: str, backend: str
) -> None:
    entry = {"type": "user", "path": f"/proc/{held}/ns/user"}
    layers.spec["linux"]["namespaces"].append(entry)
    show = "readlink /proc/self/ns/user;" if runtime != "runsc" else ""
    layers.work(f"{show} stat -c '%u:%g %n' /ov/*; mkdir /ov/d; mv /ov/d /ov/e; rm -r /ov/e")

    result = person.container(runtime, layers, "--overlay", backend)

    inode = f"{os.readlink(f'/proc/{held}/ns/user')}\n" if show else ""
    assert result == Result(0, f"{inode}1000:1000 /ov/other\n0:0 /ov/user\n", "")


@pytest.mark.parametrize("with_namespace", [False, True])
def test_another_user_and_more_groups_in_the_container(
    person: Person, layers: OwnBundle, ids: Ids, runtime: str, backend: str, with_namespace: bool
) -> None:
    if with_namespace:
        layers.with_namespace(
            [(0, ids.uid, 1), (1, ids.subuid, 65535)], [(0, ids.gid, 1), (1, ids.subgid, 65535)]
        )
    (layers.layer("upper")).chmod(0o777)
    layers.spec["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [7, 2000]}
    layers.spec["process"].pop("capabilities")
    layers.work("id -u; id -G; echo more >>/ov/other; stat -c %u:%g /ov/other; echo x >>/ov/user")

    result = person.container(runtime, layers, "--overlay", backend)

    refused = "sh: can't create /ov/user: Permission denied\n"
    assert result == Result(1, "1000\n1000 7 2000\n1000:1000\n", refused)
    found = (layers.directory / "upper/other").stat()
    assert (found.st_uid, found.st_gid) == (ids.subuid + 999, ids.subgid + 999)


#: Maps, and the container's user, that are refused; the field and the words.
REFUSED: dict[str, tuple[Callable[[Ids], Maps], dict[str, object], str]] = {
    "somebody else's id": (
        lambda i: [(0, i.uid, 1), (1, 1, 10)],
        {},
        "linux.uidMappings[1]: id 1 of the host is not the user's to map; the user's ids are "
        "{uid}, {subuid}-{last}; let root grant the ids, or map those that are granted; "
        "ocishim explain OVL-UNS-11",
    ),
    "more ids than are granted": (
        lambda i: [(0, i.uid, 1), (1, i.subuid, i.count + 1)],
        {},
        "linux.uidMappings[1]: id {past} of the host is not the user's to map; the user's ids are "
        "{uid}, {subuid}-{last}; let root grant the ids, or map those that are granted; "
        "ocishim explain OVL-UNS-11",
    ),
    "no maps": (
        lambda i: [],
        {},
        "linux.uidMappings: missing, with a user namespace in linux.namespaces[5]; add both mappings",
    ),
    "a user who is not mapped": (
        lambda i: [(0, i.uid, 1)],
        {"uid": 1000},
        "process.user.uid: 1000 is not mapped in the container's user namespace, which has 0 → {uid}; let "
        "root grant subordinate ids, or run the container as uid 0, which is the user outside; "
        "ocishim explain OVL-UNS-12",
    ),
    "a group that is not mapped": (
        lambda i: [(0, i.uid, 1)],
        {"additionalGids": [70_000]},
        "process.user.additionalGids: 70000 is not mapped in the container's user namespace, which has "
        "0 → {gid}; let root grant subordinate ids, or run the container as uid 0, which is the user "
        "outside; ocishim explain OVL-UNS-12",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_maps_that_cannot_be_are_refused(person: Person, layers: OwnBundle, ids: Ids, name: str) -> None:
    maps, user, words = REFUSED[name]
    layers.with_namespace(maps(ids), [(0, ids.gid, 1)])
    layers.spec["process"]["user"] |= user

    result = person.container("runc", layers)

    last, past = ids.subuid + ids.count - 1, ids.subuid + ids.count
    said = words.format(uid=ids.uid, gid=ids.gid, subuid=ids.subuid, last=last, past=past)
    assert result == Result(1, "", f"ocishim: {said}\n")
