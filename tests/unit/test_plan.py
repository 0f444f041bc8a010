"""The decision about each overlay: which backends, and overlays that disturb each other."""

from collections.abc import Sequence

import pytest
from unit.steps import RW, make, overlays

from ocishim import overlay, plan
from ocishim.errors import SpecError
from ocishim.probe.here import Here
from ocishim.probe.marks import Mark

BACKEND = 'annotations["dev.ocishim/backend"]'


@pytest.mark.parametrize(
    ("mode", "backends"), [("auto", ("kernel", "fuse")), ("kernel", ("kernel",)), ("fuse", ("fuse",))]
)
def test_a_mode_is_a_choice_of_backends(mode: str, backends: tuple[str, ...]) -> None:
    [step] = make(mode, RW)

    assert backends == step.backends


def test_a_rejected_candidate_is_no_backend_but_stays() -> None:
    [step] = make("auto", [*RW, "index=on"])

    assert step.backends == ("kernel",)
    assert [each.backend for each in step.candidates] == ["kernel", "fuse"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (RW, "overlay on /0: lower /a, upper /u (kernel/fuse)"),
        (["lowerdir=/a:/b\\:1", "ro"], "overlay on /0: lower /a:/b\\:1 (kernel/fuse, ro)"),
        ([*RW, "xino=on", "nodev"], "overlay on /0: lower /a, upper /u (kernel, nodev)"),
        (["lowerdir=/a::/d"], "overlay on /0: lower /a, data /d (kernel)"),
        (["lowerdir=" + ":".join(f"/{n}" for n in range(9))],
         "overlay on /0: lower /0:/1:/2:… 5 more …:/8 (kernel/fuse)"),
    ],
)  # fmt: skip
def test_a_step_describes_itself(words: Sequence[str], expected: str) -> None:
    [step] = make("auto", words)

    assert expected == step.describe()


@pytest.mark.parametrize(
    ("words", "backend", "expected"),
    [
        ([*RW, "userxattr", "xino=auto", "nodev"], "kernel",
         "overlay on /0: lower /a, upper /u (kernel, userxattr, xino=auto, nodev)"),
        (["lowerdir=/a::/d"], "kernel", "overlay on /0: lower /a, data /d (kernel, xino=auto)"),
        ([*RW, "userxattr", "volatile", "ro"], "fuse",
         "overlay on /0: lower /a, upper /u (fuse, volatile, ro)"),
    ],
)  # fmt: skip
def test_a_step_describes_what_a_candidate_would_do(
    words: Sequence[str], backend: str, expected: str
) -> None:
    [step] = make("auto", words)
    [by] = [each for each in step.candidates if each.backend == backend]

    assert expected == step.describe(by)


@pytest.mark.parametrize(
    ("words", "is_needed"), [(RW, False), (["lowerdir=/a"], True), (["lowerdir=/a:/b"], False)]
)
def test_a_single_lower_without_upper_needs_a_second_one(words: Sequence[str], is_needed: bool) -> None:
    [step] = make("kernel", words)

    assert is_needed == step.needs_empty_lower


def test_a_scratch_version_has_all_lower_layers_and_one_more() -> None:
    [step] = make("kernel", ["lowerdir=/a:/b::/d", "upperdir=/u", "workdir=/w", "nosuid"])

    scratch = step.scratch("/w/s/upper", "/w/s/work", "/l")

    assert scratch.describe() == "overlay on /0: lower /a:/b:/l, data /d, upper /w/s/upper (, nosuid)"
    assert (scratch.work, [layer.path for layer in scratch.read]) == ("/w/s/work", ["/a", "/b", "/d"])
    assert (step.upper, step.work, step.lower) == ("/u", "/w", ["/a", "/b"])


TOGETHER = [
    ([RW, ["lowerdir=/b", "upperdir=/u", "workdir=/x"]],
     "mounts[1]: upperdir=/u is written to by mounts[0]; give each overlay an upperdir and workdir of its "
     "own, and lower layers that nobody writes to; ocishim explain OVL-RUN-16"),
    ([RW, ["lowerdir=/b", "upperdir=/x", "workdir=/w"]],
     "mounts[1]: workdir=/w is written to by mounts[0]; give each overlay an upperdir and workdir of its "
     "own, and lower layers that nobody writes to; ocishim explain OVL-RUN-16"),
    ([RW, ["lowerdir=/b", "upperdir=/w", "workdir=/x"]],
     "mounts[1]: upperdir=/w is written to by mounts[0]; give each overlay an upperdir and workdir of its "
     "own, and lower layers that nobody writes to; ocishim explain OVL-RUN-16"),
    ([["lowerdir=/b:/u"], RW],
     "mounts[0]: lowerdir=/u is written to by mounts[1]; give each overlay an upperdir and workdir of its "
     "own, and lower layers that nobody writes to; ocishim explain OVL-RUN-16"),
    ([["lowerdir=/b::/w"], RW],
     "mounts[0]: datadir=/w is written to by mounts[1]; give each overlay an upperdir and workdir of its "
     "own, and lower layers that nobody writes to; ocishim explain OVL-RUN-16"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "message"), TOGETHER)
def test_overlays_that_disturb_each_other_are_refused(entries: list[Sequence[str]], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        make("auto", *entries)

    assert message == str(refusal.value)


def test_overlays_may_share_what_they_only_read() -> None:
    steps = make("auto", RW, ["lowerdir=/a", "upperdir=/x", "workdir=/y"], ["lowerdir=/a:/b"])

    assert [step.lower for step in steps] == [["/a"], ["/a"], ["/a", "/b"]]


FUSE = [
    ("xino=on",
     "mounts[0]: xino=on, which fuse-overlayfs cannot do; take --overlay kernel, or remove it; "
     "ocishim explain OVL-OPT-20"),
    ("datadir+=/d",
     "mounts[0]: data-only lower layers, which fuse-overlayfs cannot do; "
     "take --overlay kernel, or remove it; ocishim explain OVL-OPT-20"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "message"), FUSE)
def test_fuse_that_is_asked_for_what_it_cannot_do_is_refused(word: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        make("fuse", [*RW, word])

    assert message == str(refusal.value)


def test_where_no_backend_is_left_the_reasons_of_all_are_told() -> None:
    mark = Mark("metacopy", "user.overlay.metacopy", "lowerdir", "/a/file")

    with pytest.raises(SpecError) as refusal:
        make("auto", RW, marks=[mark])

    assert str(refusal.value) == (
        "mounts[0]: lowerdir=/a/file was written with user.overlay.metacopy, which this mount does not "
        "follow: files would be unreadable or zeros; nor by fuse-overlayfs: lowerdir=/a/file has "
        "user.overlay.metacopy, which fuse-overlayfs does not know (OVL-FUS-14); mount with metacopy=on and "
        "redirect_dir=on as the layer was written, or copy it out of such a mount; ocishim explain OVL-LOW-22"
    )


def test_a_forced_backend_is_taken_for_its_destination_only() -> None:
    steps = make(
        "auto",
        RW,
        ["lowerdir=/b"],
        ["lowerdir=/c"],
        ["lowerdir=/d"],
        forced={"/0": "kernel", "/1": "fuse", "/3": "auto"},
    )

    assert [step.backends for step in steps] == [
        ("kernel",),
        ("fuse",),
        ("kernel", "fuse"),
        ("kernel", "fuse"),
    ]


def test_a_forced_backend_overrides_the_mode() -> None:
    steps = make("fuse", RW, ["lowerdir=/b"], forced={"/1": "auto"})

    assert [step.backends for step in steps] == [("fuse",), ("kernel", "fuse")]


def test_a_forced_backend_that_cannot_is_refused() -> None:
    with pytest.raises(SpecError) as refusal:
        make("auto", [*RW, "redirect_dir=on"], here=Here(is_initial=False), forced={"/0": "kernel"})

    assert str(refusal.value) == (
        "mounts[0]: redirect_dir=on needs trusted.overlay xattrs, which a user namespace cannot write; "
        "remove the option in a user namespace, or run as root of the host; ocishim explain OVL-OPT-23"
    )


def at(*destinations: str) -> list[dict[str, object]]:
    """Make entries of overlays on these destinations."""
    return [{"destination": path, "type": "overlay", "options": ["lowerdir=/l"]} for path in destinations]


FORCED: list[tuple[list[str], str, dict[str, str]]] = [
    (["/ov"], "/ov=fuse", {"/ov": "fuse"}),
    (["/ov", "/b"], "/ov=fuse,/b=kernel", {"/ov": "fuse", "/b": "kernel"}),
    (["/ov", "/b"], " /ov=auto , /b=kernel ", {"/ov": "auto", "/b": "kernel"}),
    (["/ov"], "/ov=fuse,/ov=fuse", {"/ov": "fuse"}),
    (["/a,b"], "/a\\,b=fuse", {"/a,b": "fuse"}),
    (["/a=b"], "/a=b=kernel", {"/a=b": "kernel"}),
    (["/a\\b"], "/a\\\\b=kernel", {"/a\\b": "kernel"}),
    (["/größe 名"], "/größe 名=fuse", {"/größe 名": "fuse"}),
]


@pytest.mark.parametrize(("destinations", "text", "expected"), FORCED)
def test_the_annotation_forces_a_backend_by_destination(
    destinations: list[str], text: str, expected: dict[str, str]
) -> None:
    spec: dict[str, object] = {"mounts": at(*destinations), "annotations": {plan.BACKEND: text}}

    assert expected == plan.forced(spec, overlay.find(spec))


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}, [], "x"])
def test_without_the_annotation_nothing_is_forced(annotations: object) -> None:
    assert plan.forced({"annotations": annotations}, overlays(RW)) == {}


_WRITE = "write DESTINATION=kernel or =fuse, with commas between"
#: The annotation, and the answer to it where there are overlays on /0 and /1.
ANNOTATIONS = [
    ("", f'{BACKEND}: ""; {_WRITE}'),
    ("fuse", f'{BACKEND}: "fuse"; {_WRITE}'),
    ("=fuse", f'{BACKEND}: "=fuse"; {_WRITE}'),
    ("/0=", f'{BACKEND}: "/0="; {_WRITE}'),
    ("/0=fuse,", f'{BACKEND}: ""; {_WRITE}'),
    ("/0=fuse=", f'{BACKEND}: "/0=fuse="; {_WRITE}'),
    ("/0=FUSE", f'{BACKEND}: "/0=FUSE"; {_WRITE}'),
    ("/0= fuse", f'{BACKEND}: "/0= fuse"; {_WRITE}'),
    ("/0=fuse;/1=fuse", f"{BACKEND}: no overlay on /0=fuse;/1; the overlays are on /0, /1"),
    ("/2=fuse", f"{BACKEND}: no overlay on /2; the overlays are on /0, /1"),
    ("/0/=fuse", f"{BACKEND}: no overlay on /0/; the overlays are on /0, /1"),
    ("/0=fuse,/0=kernel", f"{BACKEND}: /0 twice, with different backends; keep one of the two"),
    ("/0=fuse,/2\n=fuse", f"{BACKEND}: no overlay on /2\\n; the overlays are on /0, /1"),
]


@pytest.mark.parametrize(("text", "message"), ANNOTATIONS)
def test_an_annotation_that_names_no_overlay_or_backend_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        plan.forced({"annotations": {plan.BACKEND: text}}, overlays(RW, ["lowerdir=/b"]))

    assert message == str(refusal.value)


@pytest.mark.parametrize("value", [7, True, ["/0=fuse"], {"/0": "fuse"}])
def test_an_annotation_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(SpecError) as refusal:
        plan.forced({"annotations": {plan.BACKEND: value}}, overlays(RW))

    assert f'{BACKEND}: not a string; write "DESTINATION=kernel" or "DESTINATION=fuse"' == str(refusal.value)
