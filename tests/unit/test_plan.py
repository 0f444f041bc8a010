"""The decision about each overlay: backends, layers that make none, overlays that disturb each other."""

import errno
from collections.abc import Sequence

import pytest

from ocishim import overlay, plan
from ocishim.errors import SpecError
from ocishim.probe.layer import Layer

RW = ("lowerdir=/a", "upperdir=/u", "workdir=/w")


def overlays(*entries: Sequence[str]) -> list[overlay.OverlayMount]:
    """Make overlays of these options."""
    return overlay.find(
        {
            "mounts": [
                {"destination": f"/{n}", "type": "overlay", "options": [*o]} for n, o in enumerate(entries)
            ]
        }
    )


def layers(mount: overlay.OverlayMount) -> list[Layer]:
    """Make the layers of an overlay as if each were a directory of its own on one file system."""
    named = [("upperdir", mount.upper), ("workdir", mount.work)] if mount.upper else []
    named += [("lowerdir", path) for path in mount.lower] + [("datadir", path) for path in mount.data]
    return [Layer(role, path, path, 1, hash(path), 1) for role, path in named]


def make(mode: str, *entries: Sequence[str]) -> list[plan.Step]:
    """Decide about overlays of these options."""
    mounts = overlays(*entries)
    return plan.make(mounts, [layers(mount) for mount in mounts], mode)


NO_FUSE = "what only the kernel does"


@pytest.mark.parametrize(
    ("word", "fuse"),
    [
        ("userxattr", []),
        ("default_permissions", []),
        ("volatile", ["volatile"]),
        ("fsync=volatile", ["volatile"]),
        ("fsync=auto", []),
        ("fsync=ordered", []),
        ("fsync=strict", NO_FUSE),
        ("redirect_dir=off", ["redirect_dir=off"]),
        ("redirect_dir=nofollow", ["redirect_dir=off"]),
        ("redirect_dir=follow", NO_FUSE),
        ("redirect_dir=on", NO_FUSE),
        ("index=off", []),
        ("index=on", NO_FUSE),
        ("metacopy=off", []),
        ("metacopy=on", NO_FUSE),
        ("nfs_export=off", []),
        ("nfs_export=on", NO_FUSE),
        ("uuid=off", []),
        ("uuid=null", []),
        ("uuid=auto", []),
        ("uuid=on", NO_FUSE),
        ("verity=off", []),
        ("verity=on", NO_FUSE),
        ("verity=require", NO_FUSE),
        ("xino=off", []),
        ("xino=auto", []),
        ("xino=on", NO_FUSE),
        ("override_creds", NO_FUSE),
        ("nooverride_creds", NO_FUSE),
        ("datadir+=/d", NO_FUSE),
    ],
)
def test_auto_takes_fuse_overlayfs_only_where_it_does_what_is_asked(word: str, fuse: list[str] | str) -> None:
    expected = (("kernel",), []) if fuse == NO_FUSE else (("kernel", "fuse"), fuse)

    [step] = make("auto", [*RW, word])

    assert expected == (step.backends, step.fuse)


@pytest.mark.parametrize(
    ("mode", "backends"), [("auto", ("kernel", "fuse")), ("kernel", ("kernel",)), ("fuse", ("fuse",))]
)
def test_a_mode_is_a_choice_of_backends(mode: str, backends: tuple[str, ...]) -> None:
    [step] = make(mode, RW)

    assert backends == step.backends


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (RW, "overlay on /0: lower /a, upper /u (kernel/fuse)"),
        (["lowerdir=/a:/b\\:1", "ro"], "overlay on /0: lower /a:/b\\:1 (kernel/fuse, ro)"),
        ([*RW, "userxattr", "xino=on", "nodev"],
         "overlay on /0: lower /a, upper /u (kernel, userxattr, xino=on, nodev)"),
        (["lowerdir=/a::/d"], "overlay on /0: lower /a, data /d (kernel, xino=auto)"),
        (["lowerdir=" + ":".join(f"/{n}" for n in range(9))],
         "overlay on /0: lower /0:/1:/2:… 5 more …:/8 (kernel/fuse)"),
    ],
)  # fmt: skip
def test_a_step_describes_itself(words: Sequence[str], expected: str) -> None:
    [step] = make("auto", words)

    assert expected == step.describe()


@pytest.mark.parametrize(
    ("words", "is_needed"), [(RW, False), (["lowerdir=/a"], True), (["lowerdir=/a:/b"], False)]
)
def test_a_single_lower_without_upper_needs_a_second_one(words: Sequence[str], is_needed: bool) -> None:
    [step] = make("kernel", words)

    assert is_needed == step.needs_empty_lower


def upper(
    path: str, device: int = 1, inode: int = 0, mount: int = 1, errno: int = 0, read_only: bool = False
) -> Layer:
    return Layer("upperdir", path, path, device, inode or hash(path), mount, errno, read_only)


def work(
    path: str, device: int = 1, inode: int = 0, mount: int = 1, errno: int = 0, read_only: bool = False
) -> Layer:
    return Layer("workdir", path, path, device, inode or hash(path), mount, errno, read_only)


def lower(path: str, role: str = "lowerdir", device: int = 1, inode: int = 0, errno: int = 0) -> Layer:
    return Layer(role, path, path, device, inode or hash(path), errno=errno)


@pytest.mark.parametrize(
    "its",
    [
        [upper("/u"), work("/w"), lower("/a"), lower("/b")],
        [upper("/a/u"), work("/a/w"), lower("/a")],  # ovl_check_overlapping_layers looks at lower layers only
        [upper("/u"), work("/w"), lower("/u/x", device=2)],
        [upper("/x"), work("/xy"), lower("/xyz")],
        [lower("/a"), lower("/b", inode=hash("/a"), device=2)],
        [lower("/ab"), lower("/a")],
        [lower("/")],
    ],
    ids=lambda its: ":".join(f"{one.path}@{one.device}" for one in its),
)
def test_separate_layers_make_an_overlay(its: list[Layer]) -> None:
    plan.check_layers("mounts[1]", its)


LAYERS = [
    (
        [upper("/u", read_only=True), work("/w", read_only=True), lower("/a")],
        "upperdir=/u: its file system is mounted read-only; "
        "remount it rw, or leave upperdir and workdir out for a read-only overlay",
    ),
    ([lower("/a"), lower("/b", errno=errno.ENOENT)],
     "lowerdir=/b: does not exist; create it, or correct the path"),
    ([lower("/a", errno=errno.ENOTDIR)], "lowerdir=/a: is not a directory; name a directory"),
    ([upper("/u", errno=errno.EACCES), work("/w")],
     "upperdir=/u: EACCES, access refused; let ocishim's user read it"),
    ([lower("/a", errno=errno.EIO)], "lowerdir=/a: EIO, input/output error; create it, or correct the path"),
    ([upper("/u"), work("/u")], "workdir=/u is upperdir itself; give it a directory of its own"),
    ([upper("/u"), work("/u/w")], "workdir=/u/w lies inside upperdir=/u; move it beside it"),
    ([upper("/w/u"), work("/w")], "upperdir=/w/u lies inside workdir=/w; move it beside it"),
    ([upper("/u"), work("/w", device=2)],
     "workdir=/w and upperdir=/u are on different filesystems; put both under one mount"),
    ([upper("/u"), work("/w", mount=2)],
     "workdir=/w and upperdir=/u are on different mounts of one filesystem; put both under one mount"),
    ([lower("/a"), lower("/b"), lower("/a")],
     "lowerdir=/a is the same directory as lowerdir=/a; name each layer once"),
    ([lower("/a"), lower("/b", inode=hash("/a"))],
     "lowerdir=/b is the same directory as lowerdir=/a; name each layer once"),
    ([upper("/u"), work("/w"), lower("/u")],
     "lowerdir=/u is the same directory as upperdir=/u; name each layer once"),
    ([lower("/a/b/c"), lower("/a")],
     "lowerdir=/a/b/c lies inside lowerdir=/a; overlapping layers cannot be told apart; use separate trees"),
    ([lower("/a"), lower("/a/d", role="datadir")],
     "datadir=/a/d lies inside lowerdir=/a; overlapping layers cannot be told apart; use separate trees"),
    ([lower("/"), lower("/a")],
     "lowerdir=/a lies inside lowerdir=/; overlapping layers cannot be told apart; use separate trees"),
    ([upper("/u"), work("/w"), lower("/w/x")],
     "lowerdir=/w/x lies inside workdir=/w; overlapping layers cannot be told apart; use separate trees"),
]  # fmt: skip


@pytest.mark.parametrize(("its", "message"), LAYERS, ids=[message for _, message in LAYERS])
def test_layers_that_cannot_make_an_overlay_are_refused(its: list[Layer], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        plan.check_layers("mounts[1]", its)

    assert f"mounts[1]: {message}" == str(refusal.value)


TOGETHER = [
    ([RW, ["lowerdir=/b", "upperdir=/u", "workdir=/x"]],
     "mounts[1]: upperdir=/u: mounts[0] writes to it too; "
     "give each overlay an upperdir and workdir of its own"),
    ([RW, ["lowerdir=/b", "upperdir=/x", "workdir=/w"]],
     "mounts[1]: workdir=/w: mounts[0] writes to it too; "
     "give each overlay an upperdir and workdir of its own"),
    ([RW, ["lowerdir=/b", "upperdir=/w", "workdir=/x"]],
     "mounts[1]: upperdir=/w: mounts[0] writes to it too; "
     "give each overlay an upperdir and workdir of its own"),
    ([["lowerdir=/b:/u"], RW],
     "mounts[0]: lowerdir=/u: mounts[1] writes to it: changes under an overlay are undefined; "
     "read from a directory that nobody changes"),
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
     "mounts[0].options: xino=on, which fuse-overlayfs cannot do; take --overlay kernel, or remove it"),
    ("datadir+=/d",
     "mounts[0].options: data-only lower layers, which fuse-overlayfs cannot do; "
     "take --overlay kernel, or remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "message"), FUSE)
def test_fuse_that_is_asked_for_what_it_cannot_do_is_refused(word: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        make("fuse", [*RW, word])

    assert message == str(refusal.value)


def test_runsc_needs_fuse_without_write_back_cache() -> None:
    mounts = overlays([*RW, "volatile"])

    [step] = plan.make(mounts, [layers(mounts[0])], "fuse", "runsc")

    assert step.fuse == ["volatile", "writeback=0"]
