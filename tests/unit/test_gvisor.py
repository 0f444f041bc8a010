"""What runsc needs besides bind mounts."""

import pytest

from ocishim import gvisor, overlay, plan
from ocishim.errors import SpecError, UsageError
from ocishim.probe.here import Here
from ocishim.probe.layer import Layer
from ocishim.step import Step


def steps(*words: str) -> list[Step]:
    """Plan an overlay on /ov with upper directory /real/u."""
    options = ["lowerdir=/a", "upperdir=/u", "workdir=/w", *words]
    mounts = overlay.find(
        {"mounts": [{"destination": "/ov", "type": "overlay", "source": "name", "options": options}]}
    )
    named = [("upperdir", "/real/u"), ("workdir", "/real/w"), ("lowerdir", "/real/a")]
    found = [Layer(role, path, path, 1, n, 1) for n, (role, path) in enumerate(named)]
    return plan.make(mounts, [(found, [])], Here(), "auto")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--network=none --root /r",
        "--overlay2=root:memory",
        "--overlay2 root:dir=/tmp",
        "-overlay2 none",
        "--overlay=false",
        "--overlay=F",
        "--overlay2=all:memory --overlay2=none",
        "--overlay --overlay=false",
        "all:memory",
    ],
)
def test_flags_by_which_writes_reach_upperdir_are_taken(line: str) -> None:
    gvisor.check_flags(line.split())


IN_MEMORY = (
    "runsc --overlay: writes to every mount stay in the sandbox, none reaches an upperdir; "
    "use --overlay2=root:memory; ocishim explain OVL-RUN-13"
)
FLAGS = [
    ("--overlay2=all:memory",
     "runsc --overlay2=all:memory: writes to every mount stay in the sandbox, none reaches an upperdir; "
     "use --overlay2=root:… or none; ocishim explain OVL-RUN-13"),
    ("--root /r -overlay2 all:self --debug",
     "runsc --overlay2=all:self: writes to every mount stay in the sandbox, none reaches an upperdir; "
     "use --overlay2=root:… or none; ocishim explain OVL-RUN-13"),
    ("--overlay", IN_MEMORY),
    ("-overlay --network=none", IN_MEMORY),
    ("--overlay=TRUE", IN_MEMORY),
    ("--overlay=T", IN_MEMORY),
    ("--overlay=false --overlay=1", IN_MEMORY),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), FLAGS)
def test_flags_by_which_writes_are_lost_are_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        gvisor.check_flags(line.split())

    assert message == str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, ["private", "rslave"]),
        ({"annotations": None}, []),
        ({"annotations": {"dev.gvisor.spec.mount.a.source": "/else"}}, []),
        ({"annotations": {"dev.gvisor.spec.mount.a.type": "/ov"}}, []),
        ({"annotations": {"own.source": "/ov"}}, []),
    ],
)
def test_what_runsc_does_to_a_bind_mount_is_taken(spec: dict[str, object], words: list[str]) -> None:
    gvisor.check_spec(spec, steps(*words), "/b")


HINT = "dev.gvisor.spec.mount.a.source"
LOST = (
    "runsc would keep what is written to /ov from upperdir; remove the mount hint; ocishim explain OVL-RUN-14"
)
SPEC = [
    ({}, ["rshared"], 'mounts[0].options: runsc does not support "rshared"; use rslave or rprivate'),
    ({}, ["shared"], 'mounts[0].options: runsc does not support "shared"; use rslave or rprivate'),
    *(
        ({"annotations": {HINT: source}}, [], f'annotations["{HINT}"]: {LOST}')
        for source in ("name", "/b/name", "/ov", "/real/u")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "words", "message"), SPEC)
def test_what_runsc_would_do_wrong_is_refused(
    spec: dict[str, object], words: list[str], message: str
) -> None:
    with pytest.raises(SpecError) as refusal:
        gvisor.check_spec(spec, steps(*words), "/b")

    assert message == str(refusal.value)


@pytest.mark.parametrize("setting", [False, True])
@pytest.mark.parametrize(
    ("spec", "annotated"),
    [
        ({}, None),
        ({"annotations": None}, None),
        ({"annotations": {}}, None),
        ({"annotations": {"dev.ocishim/exclusive": "true"}}, True),
        ({"annotations": {"dev.ocishim/exclusive": "false"}}, False),
    ],
)
def test_the_annotation_decides_on_exclusive_access_else_the_setting(
    spec: dict[str, object], annotated: bool | None, setting: bool
) -> None:
    expected = setting if annotated is None else annotated

    assert expected == gvisor.wants_exclusive(spec, setting)


EXCLUSIVE = [
    ("yes", 'annotations["dev.ocishim/exclusive"]: "yes" is neither "true" nor "false"; write "true"'),
    ("", 'annotations["dev.ocishim/exclusive"]: "" is neither "true" nor "false"; write "true"'),
    (True, 'annotations["dev.ocishim/exclusive"]: not a string; write "true"'),
]


@pytest.mark.parametrize(("value", "message"), EXCLUSIVE)
def test_another_value_of_the_annotation_is_refused(value: object, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        gvisor.wants_exclusive({"annotations": {"dev.ocishim/exclusive": value}}, False)

    assert message == str(refusal.value)


@pytest.mark.parametrize(
    ("descriptors", "entries"),
    [(0, 100), (256, 100), (1024, 256), (20_000, 5000), (1 << 20, 100_000), (-1, 100_000)],
)
def test_the_cache_takes_a_quarter_of_the_descriptors(descriptors: int, entries: int) -> None:
    assert ["--file-access-mounts=exclusive", f"--dcache={entries}"] == gvisor.exclusive_flags(descriptors)
