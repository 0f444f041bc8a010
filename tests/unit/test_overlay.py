"""One overlay entry of mounts[]: what it means, and what is refused about it."""

from typing import Any

import pytest

from ocishim import overlay
from ocishim.errors import SpecError

RW = ["lowerdir=/a:/b", "upperdir=/u", "workdir=/w"]


def entry(*options: object, **fields: object) -> dict[str, Any]:
    """Make an overlay entry."""
    return {"destination": "/ov", "type": "overlay", "source": "overlay", "options": [*options], **fields}


def find(*entries: object, **spec: object) -> list[overlay.OverlayMount]:
    """Find the overlays among the entries."""
    return overlay.find({"mounts": list(entries), **spec})


GOOD: list[tuple[list[str], dict[str, object]]] = [
    (["lowerdir=/a"], {"lower": ["/a"]}),
    (RW, {"lower": ["/a", "/b"], "upper": "/u", "work": "/w"}),
    (["lowerdir=/a:/b,upperdir=/u,workdir=/w"], {"lower": ["/a", "/b"], "upper": "/u", "work": "/w"}),
    (["upperdir=u\\:\\,\\\\", "workdir=w", "lowerdir=l\\:1:2"],
     {"lower": ["l:1", "2"], "upper": "u:,\\", "work": "w"}),
    (["lowerdir+=/a:b", "lowerdir+=/c\\,d", "datadir+=/e"], {"lower": ["/a:b", "/c,d"], "data": ["/e"]}),
    (["lowerdir=/a::/d", "metacopy=on"], {"lower": ["/a"], "data": ["/d"], "options": {"metacopy": "on"}}),
    (["lowerdir=/a", "", "lowerdir+=/b,"], {"lower": ["/a", "/b"]}),
    ([*RW, "userxattr", "volatile"],
     {"lower": ["/a", "/b"], "upper": "/u", "work": "/w", "options": {"userxattr": "", "volatile": ""}}),
    (["lowerdir=/a", "index=off", "index=off"], {"lower": ["/a"], "options": {"index": "off"}}),
    (["lowerdir=/a", "ro", "nodev", "rnosuid", "rro"], {"lower": ["/a"], "flags": ["ro", "nodev", "nosuid"]}),
    (["lowerdir=/a", "rw", "exec", "norelatime"], {"lower": ["/a"], "cleared": ["ro", "noexec", "relatime"]}),
    (["lowerdir=/a", "private", "rslave"], {"lower": ["/a"], "propagation": ["private", "rslave"]}),
    (["lowerdir=/a", "defaults", "silent"], {"lower": ["/a"]}),
    (['context="u:r:t:s0:c1,c2",lowerdir=/a'], {"lower": ["/a"], "lsm": {"context": "u:r:t:s0:c1,c2"}}),
    (["lowerdir=/a", "fscontext=x", 'fscontext="x"'], {"lower": ["/a"], "lsm": {"fscontext": "x"}}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), GOOD)
def test_options_are_told_apart(words: list[str], expected: dict[str, object]) -> None:
    nothing: dict[str, object] = {
        "lower": [], "data": [], "upper": "", "work": "", "options": {}, "lsm": {}, "flags": [],
        "cleared": [], "propagation": [],
    }  # fmt: skip

    [mount] = find(entry(*words))

    assert nothing | expected == {name: getattr(mount, name) for name in nothing}


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        (entry("lowerdir=/a"), True),
        (entry("lowerdir=/a", type="bind"), False),
        (entry("lowerdir=/a", type="tmpfs"), False),
        (entry("rbind", "ro"), False),  # runc and runsc take it for a bind mount
        (entry("bind"), False),
        (entry(type="none"), False),
        ({"destination": "/x"}, False),
    ],
)
def test_an_overlay_is_an_entry_of_that_type_that_is_no_bind(other: dict[str, object], is_one: bool) -> None:
    assert [0] * is_one == [mount.index for mount in find(other)]


def test_overlays_are_found_in_the_order_of_the_spec() -> None:
    spec_order = [
        {"destination": "/proc", "type": "proc"},
        entry("lowerdir=/a", destination="/1"),
        entry("bind", type="bind"),
        entry("lowerdir=/a", destination="/2", source=None),
    ]

    found = find(*spec_order)

    assert [(mount.index, mount.where, mount.destination, mount.source) for mount in found] == [
        (1, "mounts[1]", "/1", "overlay"),
        (3, "mounts[3]", "/2", "overlay"),
    ]


@pytest.mark.parametrize("spec", [{}, {"mounts": None}, {"mounts": []}, {"mounts": [{}]}])
def test_a_spec_without_overlays_is_none_of_ours(spec: dict[str, object]) -> None:
    assert overlay.find(spec) == []


@pytest.mark.parametrize(
    ("words", "is_read_only"),
    [
        (["lowerdir=/a"], True),
        (["lowerdir=/a", "rw"], True),
        (RW, False),
        ([*RW, "ro"], True),
        ([*RW, "rw"], False),
    ],
)
def test_an_overlay_is_read_only_without_upperdir_or_by_ro(words: list[str], is_read_only: bool) -> None:
    [mount] = find(entry(*words))

    assert is_read_only == mount.read_only


@pytest.mark.parametrize(
    ("words", "context"),
    [([], "u:r:t:s0:c1,c2"), (["context=own"], "own"), (["fscontext=own"], "u:r:t:s0:c1,c2")],
)
def test_the_mount_label_of_the_spec_is_the_context(words: list[str], context: str) -> None:
    [mount] = find(entry("lowerdir=/a", *words))

    overlay.label([mount], overlay.label_of({"linux": {"mountLabel": "u:r:t:s0:c1,c2"}}))

    assert context == mount.lsm["context"]


def test_a_mount_label_of_another_type_is_refused() -> None:
    with pytest.raises(SpecError) as refusal:
        overlay.label_of({"linux": {"mountLabel": 1}})

    assert (
        str(refusal.value)
        == 'linux.mountLabel: number instead of a string; write "…"; ocishim explain OVL-RUN-08'
    )


SPEC: list[tuple[dict[str, Any], str]] = [
    ({"mounts": {}}, "mounts: object instead of an array; write [ … ]; ocishim explain OVL-RUN-08"),
    ({"mounts": "x"}, "mounts: string instead of an array; write [ … ]; ocishim explain OVL-RUN-08"),
    ({"mounts": 1.5}, "mounts: number instead of an array; write [ … ]; ocishim explain OVL-RUN-08"),
    ({"mounts": True}, "mounts: boolean instead of an array; write [ … ]; ocishim explain OVL-RUN-08"),
    ({"mounts": [{}, []]}, "mounts[1]: array instead of an object; write { … }; ocishim explain OVL-RUN-08"),
    ({"mounts": [None]}, "mounts[0]: null instead of an object; write { … }; ocishim explain OVL-RUN-08"),
    ({"mounts": [entry(destination="ov")]},
     'mounts[0].destination: "ov" is not absolute; write the path inside the container, from /'),
    ({"mounts": [entry(destination=None)]},
     "mounts[0].destination: missing; write the path inside the container, from /"),
    ({"mounts": [entry(destination=["/ov"])]}, 'mounts[0].destination: array instead of a string; write "…"; '
     'ocishim explain OVL-RUN-08'),
    ({"mounts": [entry(destination="/a\0b")]},
     "mounts[0].destination: NUL in it; no path or option can hold it"),
    ({"mounts": [entry(source=7)]}, 'mounts[0].source: number instead of a string; write "…"; '
     'ocishim explain OVL-RUN-08'),
    ({"mounts": [entry(options="ro")]}, "mounts[0].options: string instead of an array; write [ … ]; "
     "ocishim explain OVL-RUN-08"),
    ({"mounts": [{"destination": "/ov", "type": "overlay"}]},
     "mounts[0].options: overlay without lowerdir; add lowerdir=DIR[:DIR…]; ocishim explain OVL-OPT-19"),
]  # fmt: skip


#: What is no overlay, but has overlay's options: a runtime would start without it, or with one layer of it.
TAKEN_FOR_ANOTHER = [
    ({"type": "overlay", "options": ["rbind", "lowerdir=/a"]},
     "mounts[0].options: bind or rbind makes a bind mount of it, and overlay's options would mean nothing; "
     "remove one or the other"),
    ({"type": "Overlay", "options": ["lowerdir=/a"]},
     'mounts[0].type: "Overlay", with overlay\'s options; write "overlay"'),
    ({"type": "overlayfs", "options": ["lowerdir+=/a"]},
     'mounts[0].type: "overlayfs", with overlay\'s options; write "overlay"'),
    ({"options": ["lowerdir=/a"]}, 'mounts[0].type: missing, with overlay\'s options; write "overlay"'),
    ({"type": 7, "options": ["lowerdir=/a"]},
     'mounts[0].type: number, with overlay\'s options; write "overlay"'),
]  # fmt: skip


@pytest.mark.parametrize(("mount", "message"), TAKEN_FOR_ANOTHER)
def test_what_would_not_be_taken_for_an_overlay_is_refused(mount: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        overlay.find({"mounts": [{"destination": "/ov", **mount}]})

    assert message == str(refusal.value)


def test_other_file_systems_keep_their_options() -> None:
    mounts = [
        {"type": "fuse.fuse-overlayfs", "options": ["lowerdir=/a"]},
        {"type": "tmpfs", "options": ["x"]},
    ]

    assert overlay.find({"mounts": mounts}) == []


@pytest.mark.parametrize(("spec", "message"), SPEC)
def test_a_wrong_spec_is_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        overlay.find(spec)

    assert message == str(refusal.value)


#: Options and what is said about them behind "mounts[0].options", and the last word's index in between.
OPTIONS: list[tuple[list[object], str]] = [
    ([7], '[0]: number instead of a string; write "…"; ocishim explain OVL-RUN-08'),
    ([None], ": overlay without lowerdir; add lowerdir=DIR[:DIR…]; ocishim explain OVL-OPT-19"),
    (["lowerdir=/a\0"], "[0]: NUL in it; no path or option can hold it"),
    (["lowerdir=/\ud800"], "[0]: half a surrogate pair in it; write whole characters"),
    (["upperdir=/u", "workdir=/w"], ": overlay without lowerdir; add lowerdir=DIR[:DIR…]; "
     "ocishim explain OVL-OPT-19"),
    (["datadir+=/a"], ": overlay without lowerdir; add lowerdir=DIR[:DIR…]; ocishim explain OVL-OPT-19"),
    (["lowerdir=/a", "upperdir=/u"], ": upperdir=/u without workdir; add workdir=DIR on the same filesystem; "
     "ocishim explain OVL-OPT-19"),
    (["lowerdir=/a", "workdir=/w"], ": workdir=/w without upperdir; add upperdir=DIR, or remove it; "
     "ocishim explain OVL-OPT-19"),
    (["lowerdir="], "[0]: lowerdir without a path; write lowerdir=DIR"),
    (["lowerdir"], "[0]: lowerdir without a path; write lowerdir=DIR"),
    (["lowerdir+="], "[0]: lowerdir+ without a path; write lowerdir+=DIR"),
    (["lowerdir=/a", "upperdir=\\"], "[1]: upperdir without a path; write upperdir=DIR"),
    (["lowerdir=/a:"], "[0]: lowerdir=/a:: the list ends with a colon; write DIR:DIR, and \\: in a name; "
     "ocishim explain OVL-OPT-09"),
    (["lowerdir=/a:::/b"], "[0]: lowerdir=/a:::/b: empty path in the list; write DIR:DIR, and \\: in a name; "
     "ocishim explain OVL-OPT-09"),
    (["lowerdir=/a", "lowerdir=/b"],
     "[1]: lowerdir besides other lower layers; join them with : or use lowerdir+"),
    (["datadir+=/a", "lowerdir+=/b"],
     "[1]: lowerdir+ behind a data-only layer; move it in front of datadir+"),
    ([*RW, "upperdir=/x"], "[3]: second upperdir; keep one of the two"),
    ([*RW, "workdir=/w"], "[3]: second workdir; keep one of the two"),
    (["lowerdir=/a", "b"],
     '[1]: unknown overlay option "b"; remove it, or write : between layers and \\, for a comma in a path; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a,/b"],
     '[0]: unknown overlay option "/b"; remove it, or write : between layers and \\, for a comma in a path; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "=b"], '[1]: unknown overlay option "=b"; remove it; ocishim explain OVL-OPT-25'),
    (["lowerdr=/a"], '[0]: unknown overlay option "lowerdr=/a"; write lowerdir=; ocishim explain OVL-OPT-25'),
    ([" lowerdir=/a"], '[0]: unknown overlay option " lowerdir=/a"; remove the blank before it; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "user_xattr"], '[1]: unknown overlay option "user_xattr"; write userxattr; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "mode=0755"], '[1]: unknown overlay option "mode=0755"; remove it; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "ro=1"], '[1]: unknown overlay option "ro=1"; write ro; ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "context"],
     '[1]: unknown overlay option "context"; '
     "remove it, or write : between layers and \\, for a comma in a path; ocishim explain OVL-OPT-25"),
    (["lowerdir=/a", "a\nb"],
     '[1]: unknown overlay option "a\\nb"; '
     "remove it, or write : between layers and \\, for a comma in a path; ocishim explain OVL-OPT-25"),
    (["lowerdir=/a", "idmap"],
     ': "idmap" without mappings, and the container has no user namespace; '
     'add uidMappings and gidMappings to the mount'),
    (["lowerdir=/a", "idmap=uids=0-1-10"],
     ': "idmap=uids=0-1-10": only crun takes a value; write uidMappings and gidMappings'),
    (["lowerdir=/a", "context=a", "context=b"],
     '[2]: second "context" with another value; keep one of the two'),
    (["lowerdir=/a", "userxattr=on"], '[1]: "userxattr=on": userxattr takes no value; write userxattr; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "index"], '[1]: "index" is none of on, off; write index=on; ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "xino=yes"], '[1]: "xino=yes" is none of on, off, auto; write xino=on; '
     'ocishim explain OVL-OPT-25'),
    (["lowerdir=/a", "xino=on", "xino=off"], '[2]: "xino=off" contradicts xino=on; keep one of the two'),
    (["lowerdir=/a", "ro", "rw"], '[2]: "rw" contradicts an earlier option; keep one of the two'),
    (["lowerdir=/a", "exec", "noexec"], '[2]: "noexec" contradicts an earlier option; keep one of the two'),
    (["lowerdir=/a", "noatime", "relatime"], ": noatime and relatime contradict each other; keep one"),
    ([*RW, "userxattr", "metacopy=on"],
     ": userxattr and metacopy=on contradict each other; keep one of the two; ocishim explain OVL-OPT-07"),
    ([*RW, "volatile", "fsync=strict"],
     ": volatile and fsync=strict contradict each other; keep one of the two; ocishim explain OVL-OPT-07"),
    (["lowerdir=/a", "volatile"], ": volatile means nothing without upperdir; remove it"),
    (["lowerdir=/a", "index=on"], ": index=on means nothing without upperdir; remove it"),
    ([f"lowerdir+=/{n}" for n in range(501)],
     ": 501 lower layers: the kernel takes 500; merge some of the layers; "
     "ocishim explain OVL-OPT-02"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), OPTIONS)
def test_wrong_options_are_refused(words: list[object], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        find(entry(*words))

    assert f"mounts[0].options{message}" == str(refusal.value)


@pytest.mark.parametrize(("one", "other"), overlay._CONFLICTS)
def test_options_that_the_kernel_refuses_together_are_refused(one: str, other: str) -> None:
    with pytest.raises(SpecError) as refusal:
        find(entry(*RW, other, one))

    assert (
        f"mounts[0].options: {one} and {other} contradict each other; keep one of the two; "
        "ocishim explain OVL-OPT-07" == str(refusal.value)
    )
