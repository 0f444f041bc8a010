"""Id mappings of an overlay's entry: what is taken, who becomes whom, what is decided by them."""

import json
from errno import EINVAL, ENOSYS, EPERM
from typing import Any

import pytest
from unit.steps import RW, layers, overlays
from unit.test_schemas import OVERLAY, is_valid

from ocishim import overlay, plan, rewrite
from ocishim.errors import ShimError, SpecError
from ocishim.probe.here import Here
from ocishim.shift import IdMap

ONE = [{"containerID": 1000, "hostID": 0, "size": 1}]
WIDE = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USER = {"namespaces": [{"type": "user"}], "uidMappings": WIDE, "gidMappings": ONE}


def entry(*options: str, **fields: object) -> dict[str, object]:
    """Make an entry of mounts[]."""
    return {"destination": "/ov", "type": "overlay", "options": [*RW, *options], **fields}


def both(*ranges: tuple[int, int, int]) -> dict[str, object]:
    """Make the two fields of the same ranges."""
    its = [{"containerID": disk, "hostID": shown, "size": size} for disk, shown, size in ranges]
    return {"uidMappings": its, "gidMappings": its}


def read(entry: dict[str, object], **linux: object) -> IdMap | None:
    """Give the mapping of an overlay."""
    return overlay.find({"mounts": [entry], "linux": linux})[0].idmap


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (entry(), None),
        (entry(uidMappings=None), None),
        (entry(uidMappings=[], gidMappings=[]), None),
        (entry(uidMappings=ONE, gidMappings=WIDE), (((1000, 0, 1),), ((0, 100000, 65536),), True)),
        (entry("idmap", uidMappings=ONE, gidMappings=ONE), (((1000, 0, 1),), ((1000, 0, 1),), True)),
        (entry("ridmap"), (((0, 100000, 65536),), ((1000, 0, 1),), False)),
        (entry("ro,idmap", uidMappings=[]), (((0, 100000, 65536),), ((1000, 0, 1),), False)),
        (entry(**both((0, 5, 5), (5, 0, 5))), (((0, 5, 5), (5, 0, 5)), ((0, 5, 5), (5, 0, 5)), True)),
        (entry(**both((0, 0, 0xFFFFFFFF))), (((0, 0, 0xFFFFFFFF),), ((0, 0, 0xFFFFFFFF),), True)),
    ],
    ids=lambda value: json.dumps(value.get("options", "")) if isinstance(value, dict) else "",
)
def test_mappings_are_those_of_the_entry_else_of_the_container(
    entry: dict[str, object], expected: object
) -> None:
    found = read(entry, **USER)

    assert expected == (found and (found.uid, found.gid, found.is_own))
    assert is_valid(OVERLAY, entry)


def one(**changes: object) -> dict[str, object]:
    """Make fields of a range with changes; None leaves a field out."""
    its = {name: value for name, value in {**ONE[0], **changes}.items() if value is not None}
    return {"uidMappings": [its], "gidMappings": ONE}


#: What the schema says as well.
WRONG: list[tuple[dict[str, object], str]] = [
    ({"uidMappings": ONE},
     "uidMappings: without gidMappings; add gidMappings: ids that it leaves out are nobody's"),
    ({"uidMappings": [], "gidMappings": ONE},
     "gidMappings: without uidMappings; add uidMappings: ids that it leaves out are nobody's"),
    ({"uidMappings": {}, "gidMappings": ONE},
     "uidMappings: no array; write [ … ]; ocishim explain OVL-RUN-08"),
    ({"uidMappings": [1], "gidMappings": ONE},
     'uidMappings[0]: no object; write {"containerID": …, "hostID": …, "size": …}; '
     "ocishim explain OVL-RUN-08"),
    (one(size=None), "uidMappings[0].size: missing; all three are needed"),
    (one(size=0), "uidMappings[0].size: 0; write how many ids it maps"),
    (one(hostID=-1), "uidMappings[0].hostID: no number from 0 to 4294967294; correct it"),
    (one(containerID=0xFFFFFFFF), "uidMappings[0].containerID: no number from 0 to 4294967294; correct it"),
    (one(containerID="1000"), "uidMappings[0].containerID: no number from 0 to 4294967294; correct it"),
    (one(size=1 << 32), "uidMappings[0].size: no number from 0 to 4294967295; correct it"),
    (one(containerID=True), "uidMappings[0].containerID: no number from 0 to 4294967294; correct it"),
]  # fmt: skip
#: What only the code finds.
WRONG_TOGETHER: list[tuple[dict[str, object], str]] = [
    (one(size=0xFFFFFFFE), "uidMappings[0].size: it goes past the last id, 4294967294; make it smaller"),
    (both((0, 0, 5), (4, 9, 1)),
     "uidMappings[1].containerID: it has ids of range [0]; map each id once"),
    (both((5, 5, 5), (0, 0, 1), (1, 4, 2)),
     "uidMappings[2].hostID: it has ids of range [0]; map each id once"),
    (both(*((each, each, 1) for each in range(341))),
     "uidMappings: 341 ranges are more than the kernel takes; join some of them"),
    (both(*((4000000000 + each, each, 1) for each in range(300))),
     "uidMappings: 300 ranges are more than the kernel takes; join some of them"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), WRONG + WRONG_TOGETHER)
def test_wrong_mappings_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        read(entry(**fields), **USER)

    assert f"mounts[0].{message}" == str(refusal.value)


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_wrong_mappings_are_invalid(fields: dict[str, object], message: str) -> None:
    assert not is_valid(OVERLAY, entry(**fields)), message


@pytest.mark.parametrize(
    ("linux", "message"),
    [
        ({}, "and the container has no user namespace"),
        ({**USER, "namespaces": [{"type": "mount"}]}, "and the container has no user namespace"),
        ({"namespaces": [{"type": "user", "path": "/p"}]},
         "and the container's user namespace was made by others"),
        ({**USER, "gidMappings": []}, "and linux.uidMappings or gidMappings is empty"),
    ],
)  # fmt: skip
def test_idmap_needs_mappings_from_somewhere(linux: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        read(entry("idmap"), **linux)

    remedy = "add uidMappings and gidMappings to the mount"
    assert f'mounts[0].options: "idmap" without mappings, {message}; {remedy}' == str(refusal.value)


@pytest.mark.parametrize(
    ("uid", "gid", "mounter", "stored"),
    [
        (((1000, 0, 1),), ((1000, 0, 1),), (0, 0), (1000, 1000)),
        (((0, 100000, 65536),), ((0, 100000, 65536),), (100000, 100000), (0, 0)),
        (((7, 50, 2), (1000, 0, 1)), ((5, 100, 1),), (0, 100), (1000, 5)),
    ],
)
def test_who_mounts_and_whom_its_files_belong_to_on_disk(
    uid: Any, gid: Any, mounter: tuple[int, int], stored: tuple[int, int]
) -> None:
    idmap = IdMap(uid, gid)

    assert (mounter, stored) == (idmap.mounter(0, 0), idmap.stored(0, 0))
    assert idmap.has(*stored)


def test_which_owners_have_a_mapping() -> None:
    idmap = IdMap(((10, 0, 3), (1000, 3, 1)), ((0, 0, 2),))

    found = [(uid, gid) for uid in (9, 10, 12, 13, 1000, 1001) for gid in (1, 2) if idmap.has(uid, gid)]

    assert found == [(10, 1), (12, 1), (1000, 1)]


@pytest.mark.parametrize(
    ("uid", "gid", "expected"),
    [
        (((1000, 0, 1),), ((1000, 0, 1),), ["uid and gid 1000 of the layers is 0"]),
        (((0, 9, 3), (5, 1, 1)), ((0, 0, 1),), [
            "uid 0-2 of the layers are 9-11", "uid 5 of the layers is 1", "gid 0 of the layers is 0",
        ]),
    ],
)  # fmt: skip
def test_a_mapping_in_words(uid: Any, gid: Any, expected: list[str]) -> None:
    assert expected == IdMap(uid, gid).describe()


@pytest.mark.parametrize(
    ("errno", "owner", "message"),
    [
        (EINVAL, 1000, "lowerdir=/a is on ext4, which kernel K cannot idmap"),
        (ENOSYS, 1000, "lowerdir=/a: kernel K makes no overlays of idmapped layers; 5.19 and later do"),
        (EPERM, 1000,
         "lowerdir=/a: the kernel lets nobody here idmap ext4, or its mount is idmapped already"),
        (0, 1001, "workdir=/w has files of uid 1001 and gid 0, which the mount's mappings leave out: "
                  "nobody could change them"),
    ],
)  # fmt: skip
def test_layers_that_do_not_go_with_a_mapping(
    errno: int, owner: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.uname", lambda: type("", (), {"release": "K"}))
    [mount] = overlay.find({"mounts": [entry(uidMappings=ONE, gidMappings=[{**ONE[0], "containerID": 0}])]})
    upper, work, lower = layers(mount)
    upper.uid, work.uid, lower.idmap_errno = 1000, owner, errno

    with pytest.raises(ShimError) as refusal:
        plan.make([mount], [([upper, work, lower], [])], Here(), "auto")

    assert refusal.value.why == (
        f"{message}; nor by fuse-overlayfs: an id mapping, which fuse-overlayfs cannot do (OVL-OPT-20)"
    )


def test_owners_do_not_matter_without_a_mapping() -> None:
    [mount] = overlays(RW)
    its = layers(mount)
    its[0].uid = 1234

    [step] = plan.make([mount], [(its, [])], Here(), "kernel")

    assert step.backends == ("kernel",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"options": [*RW, "idmap"]}, {}),
        ({"options": [*RW, "idmap"], "uidMappings": ONE, "gidMappings": ONE},
         {"uidMappings": None, "gidMappings": None}),
        ({"options": RW, "uidMappings": []}, {"uidMappings": []}),
    ],
)  # fmt: skip
def test_the_runtime_gets_a_bind_without_mappings(
    fields: dict[str, object], expected: dict[str, object]
) -> None:
    text = json.dumps({"linux": USER, "mounts": [{"destination": "/ov", "type": "overlay", **fields}]})
    [mount] = overlay.find(json.loads(text))

    found = json.loads(rewrite.spec(text, [(mount, "/stage/0")], "runc"))

    bind = {"destination": "/ov", "type": "bind", "source": "/stage/0", "options": ["rbind"]}
    assert found == {"linux": USER, "mounts": [bind | expected]}
