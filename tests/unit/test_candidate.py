"""One way to mount an overlay: its exact options, and what closes the way."""

from collections.abc import Sequence

import pytest
from unit.steps import RW, layer, layers, make, overlays

from ocishim import candidate, filesystems
from ocishim.overlay import OverlayMount
from ocishim.probe.here import Here
from ocishim.probe.layer import Layer
from ocishim.probe.marks import Mark

USER = Here(is_initial=False)
DEFAULTS = ("index", "metacopy", "nfs_export", "redirect_dir", "xino")
NO_FUSE = "what only the kernel does"


def _one(words: Sequence[str], magics: dict[str, int] | None = None) -> tuple[OverlayMount, list[Layer]]:
    [mount] = overlays(words)
    return mount, layers(mount, magics)


def kernel(words: Sequence[str], here: Here | None = None) -> candidate.Candidate:
    [step] = make("auto", words, here=here)
    return step.candidates[0]


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
def test_fuse_overlayfs_is_taken_only_where_it_does_what_is_asked(word: str, fuse: list[str] | str) -> None:
    [step] = make("auto", [*RW, word])

    [_, by] = step.candidates
    assert fuse == (NO_FUSE if by.rejected else by.words)
    assert ("OVL-OPT-20" if fuse == NO_FUSE else None) == (by.rejected and by.rejected.page)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (RW, []),
        ([*RW, "nosuid", "ro"], []),  # flags are no options
        ([*RW, "metacopy=on", "verity=on", "volatile"], ["metacopy=on", "verity=on", "volatile"]),
        (["lowerdir=/a"], ["xino=auto"]),
        (["lowerdir=/a", "xino=off"], ["xino=off"]),
        (["lowerdir=/a:/b"], []),
    ],
)
def test_the_kernel_gets_what_the_spec_has(words: Sequence[str], options: list[str]) -> None:
    by = kernel(words)

    assert (options, None) == (by.words, by.rejected)


_ON = "the overlay module's default here is {}=on"


@pytest.mark.parametrize(
    ("defaults", "words", "options", "added"),
    [
        ((), RW, [], []),
        (("index",), RW, ["index=off"], [("index=off", _ON.format("index"))]),
        (("xino",), RW, ["xino=off"], [("xino=off", _ON.format("xino"))]),
        (
            ("xino",),
            ["lowerdir=/a"],
            ["xino=auto"],
            [("xino=auto", "a second, empty lower layer is added, as the kernel wants two")],
        ),
        (
            DEFAULTS,
            RW,
            ["index=off", "metacopy=off", "nfs_export=off", "redirect_dir=off", "xino=off"],
            [(f"{name}=off", _ON.format(name)) for name in DEFAULTS],
        ),
        (("index",), [*RW, "index=on"], ["index=on"], []),
        (("metacopy",), [*RW, "metacopy=on"], ["metacopy=on"], []),
        # The kernel turns these two off by itself with userxattr, and refuses them in so many words.
        (("metacopy", "redirect_dir"), [*RW, "userxattr"], ["userxattr"], []),
        # metacopy=on needs redirect_dir=on, and so does verity; with redirect_dir=off both are refused.
        (("metacopy", "redirect_dir"), [*RW, "metacopy=on"], ["metacopy=on"], []),
        (("metacopy", "redirect_dir"), [*RW, "verity=on"], ["verity=on"], []),
        (
            ("metacopy", "redirect_dir"),
            [*RW, "verity=off"],
            ["verity=off", "metacopy=off", "redirect_dir=off"],
            [(f"{name}=off", _ON.format(name)) for name in ("metacopy", "redirect_dir")],
        ),
        (("index",), [*RW, "nfs_export=on"], ["nfs_export=on"], []),
        (
            ("index",),
            [*RW, "nfs_export=off"],
            ["nfs_export=off", "index=off"],
            [("index=off", _ON.format("index"))],
        ),
    ],
)
def test_what_the_module_turns_on_is_turned_off(
    defaults: tuple[str, ...], words: Sequence[str], options: list[str], added: list[tuple[str, str]]
) -> None:
    by = kernel(words, Here(True, defaults))

    assert (options, added) == (by.words, by.added)


_XATTR = ("userxattr", "in a user namespace trusted xattrs cannot be written")
_OFF = ("redirect_dir=nofollow", "what off means with userxattr, which refuses off")


@pytest.mark.parametrize(
    ("words", "options", "added"),
    [
        (RW, ["userxattr"], [_XATTR]),
        ([*RW, "userxattr"], ["userxattr"], []),
        ([*RW, "redirect_dir=nofollow"], ["redirect_dir=nofollow", "userxattr"], [_XATTR]),
        ([*RW, "redirect_dir=off"], ["redirect_dir=nofollow", "userxattr"], [_XATTR, _OFF]),
        ([*RW, "metacopy=off"], ["metacopy=off", "userxattr"], [_XATTR]),
    ],
)
@pytest.mark.parametrize("defaults", [(), ("metacopy", "redirect_dir")])
def test_in_a_user_namespace_userxattr_is_added(
    words: Sequence[str], options: list[str], added: list[tuple[str, str]], defaults: tuple[str, ...]
) -> None:
    by = kernel(words, Here(False, defaults))

    assert (options, added, None) == (by.words, by.added, by.rejected)


@pytest.mark.parametrize("word", ["redirect_dir=on", "redirect_dir=follow", "metacopy=on"])
def test_what_needs_trusted_xattrs_is_refused_in_a_user_namespace(word: str) -> None:
    by = candidate.kernel(*_one([*RW, word]), [], USER)

    assert by.rejected is not None
    assert (by.rejected.page, by.rejected.why) == (
        "OVL-OPT-23",
        f"{word} needs trusted.overlay xattrs, which a user namespace cannot write",
    )
    assert "userxattr" not in by.options


def test_in_the_initial_user_namespace_userxattr_is_not_added() -> None:
    assert kernel(RW, Here(is_initial=True)).words == []


#: Where a layer is on such a file system, the kernel is not asked: path, magic, the page.
FILE_SYSTEMS = [
    ("/a", filesystems.GPFS, "OVL-LOW-06"),
    ("/u", filesystems.GPFS, "OVL-LOW-06"),
    ("/a", filesystems.CLUSTER[0], "OVL-LOW-07"),
    ("/a", filesystems.CLUSTER[1], "OVL-LOW-07"),
    ("/w", filesystems.CLUSTER[0], "OVL-LOW-07"),
    ("/a", filesystems.ECRYPTFS, ""),
    ("/u", filesystems.ECRYPTFS, "OVL-UPP-11"),
    ("/a", filesystems.RAMFS, ""),
    ("/u", filesystems.RAMFS, "OVL-UPP-16"),
    ("/w", filesystems.RAMFS, "OVL-UPP-16"),
    *[("/a", magic, "OVL-LOW-24") for magic in filesystems.VIEWS],
    ("/a", 0x9FA0, ""),  # proc: the kernel says so itself
    ("/a", filesystems.FUSE, ""),
    ("/u", filesystems.FUSE, ""),
    ("/a", filesystems.NFS, ""),
    ("/a", filesystems.TMPFS, ""),
    ("/a", 0x12345678, ""),
]


@pytest.mark.parametrize(("path", "magic", "page"), FILE_SYSTEMS)
def test_what_must_not_be_tried_is_refused_by_its_file_system(path: str, magic: int, page: str) -> None:
    mount, its = _one(RW, {path: magic})

    by = candidate.kernel(mount, its, [], Here())

    assert page == (by.rejected.page if by.rejected else "")
    if by.rejected:
        assert f"={path} is on {filesystems.name(magic)}" in by.rejected.why
    by_fuse = candidate.fuse(mount, its, [], Here(), "runc").rejected
    assert (by_fuse is not None) == (magic in filesystems.WITHOUT_SIZES)


@pytest.mark.parametrize("magic", filesystems.VIEWS)
def test_a_view_of_the_kernel_may_be_read_unless_it_is_unreadable(magic: int) -> None:
    mount, its = _one(["lowerdir=/a:/b"], {"/b": magic})

    by = candidate.kernel(mount, its, [], Here())

    assert (magic in filesystems.UNREADABLE_VIEWS) == (by.rejected is not None)


def test_a_workdir_that_the_kernel_cannot_empty_is_left_to_fuse_overlayfs() -> None:
    mount, its = _one(RW)
    its[1].is_stuck = True

    by = candidate.kernel(mount, its, [], Here())

    assert str(by.rejected) == (
        "mounts[0]: workdir=/w cannot be used (ENOTEMPTY from removing work/work), so the overlay would come "
        "up read-only; empty workdir or name a new one, on a file system where root of the host may write; "
        "ocishim explain OVL-OPT-16"
    )
    assert candidate.fuse(mount, its, [], Here(), "runc").rejected is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (RW, ["volatile"]),
        ([*RW, "volatile"], ["volatile"]),
        ([*RW, "index=on"], ["index=on", "volatile"]),
        ([*RW, "fsync=strict"], ["fsync=strict"]),
    ],
)
def test_a_trial_is_volatile_unless_fsync_is_set(words: Sequence[str], expected: list[str]) -> None:
    [step] = make("kernel", words)
    [by] = step.candidates

    assert by.volatile().words == expected
    assert by.words == [word for word in words if word not in RW]


@pytest.mark.parametrize("words", [["lowerdir=/a:/b"], ["lowerdir=/a:/b", "upperdir=/u", "workdir=/w"]])
@pytest.mark.parametrize("magic", filesystems.WITHOUT_SIZES)
def test_fuse_overlayfs_cannot_even_read_a_view_of_the_kernel(magic: int, words: list[str]) -> None:
    by = candidate.fuse(*_one(words, {"/b": magic}), [], Here(), "runc")

    assert by.rejected is not None
    assert by.rejected.page == "OVL-LOW-24"


def test_fuse_overlayfs_gets_no_upper_layer_that_it_would_split() -> None:
    words = [r"lowerdir=/a\:b", "upperdir=/u:u", "workdir=/w:w"]

    assert str(candidate.fuse(*_one(words), [], Here(), "runc").rejected) == (
        'mounts[0]: fuse-overlayfs cannot be given upperdir=/u:u: it takes options apart at ":"; rename the '
        "directory or use the kernel's overlayfs; ocishim explain OVL-OPT-06"
    )
    assert candidate.fuse(*_one([*words[:1], *RW[1:]]), [], Here(), "runc").rejected is None
    assert candidate.kernel(*_one(words), [], Here()).rejected is None


T, U = "trusted.overlay.", "user.overlay."
FUSE_MARK = Mark("fuse", ".wh.x", "upperdir", "/u/.wh.x")
BOTH, KERNEL, FUSE = ("kernel", "fuse"), ("kernel",), ("fuse",)
INITIAL = Here()
#: A mark, the options of the mount, where it is, and which backends are left.
MARKS: list[tuple[Mark, list[str], Here, tuple[str, ...]]] = [
    (FUSE_MARK, [], INITIAL, FUSE),
    (FUSE_MARK, [], USER, FUSE),
    (Mark("fuse", "user.fuseoverlayfs.opaque", "lowerdir", "/a/d"), [], INITIAL, FUSE),
    (Mark("opaque", f"{T}opaque", "lowerdir", "/a/d"), [], INITIAL, BOTH),
    (Mark("opaque", f"{T}opaque", "lowerdir", "/a/d"), ["userxattr"], INITIAL, FUSE),
    (Mark("opaque", f"{T}opaque", "lowerdir", "/a/d"), [], USER, ()),
    (Mark("opaque", f"{U}opaque", "lowerdir", "/a/d"), [], INITIAL, FUSE),
    (Mark("opaque", f"{U}opaque", "lowerdir", "/a/d"), ["userxattr"], INITIAL, BOTH),
    (Mark("opaque", f"{U}opaque", "lowerdir", "/a/d"), [], USER, BOTH),
    (Mark("metacopy", f"{T}metacopy", "lowerdir", "/a/f"), [], INITIAL, ()),
    (Mark("metacopy", f"{T}metacopy", "lowerdir", "/a/f"), ["metacopy=off"], INITIAL, ()),
    (Mark("metacopy", f"{T}metacopy", "lowerdir", "/a/f"), ["metacopy=on"], INITIAL, KERNEL),
    (Mark("metacopy", f"{T}metacopy", "lowerdir", "/a/f"), ["userxattr"], INITIAL, ()),
    (Mark("metacopy", f"{U}metacopy", "lowerdir", "/a/f"), ["metacopy=on"], INITIAL, ()),
    (Mark("metacopy", f"{U}metacopy", "lowerdir", "/a/f"), [], USER, ()),
    # A file whose content may be in a data-only layer: whether that needs metacopy=on, the kernel says.
    (Mark("metacopy", f"{T}metacopy", "lowerdir", "/a/f"), ["lowerdir=/a::/d"], INITIAL, KERNEL),
    (Mark("metacopy", f"{U}metacopy", "lowerdir", "/a/f"), ["lowerdir=/a::/d"], INITIAL, ()),
    (Mark("metacopy", f"{U}metacopy", "lowerdir", "/a/f"), ["lowerdir=/a::/d"], USER, KERNEL),
    (Mark("metacopy", f"{T}metacopy", "upperdir", "/u/f"), ["lowerdir=/a::/d"], INITIAL, ()),
    (Mark("redirect", f"{T}redirect", "lowerdir", "/a/d"), [], INITIAL, KERNEL),
    (Mark("redirect", f"{T}redirect", "lowerdir", "/a/d"), ["redirect_dir=on"], INITIAL, KERNEL),
    (Mark("redirect", f"{T}redirect", "lowerdir", "/a/d"), ["redirect_dir=nofollow"], INITIAL, ()),
    (Mark("redirect", f"{T}redirect", "lowerdir", "/a/d"), ["userxattr"], INITIAL, ()),
    (Mark("redirect", f"{U}redirect", "lowerdir", "/a/d"), [], USER, ()),
    (Mark("whiteout", f"{T}whiteout", "lowerdir", "/a/f"), [], INITIAL, KERNEL),
    (Mark("whiteout", f"{U}whiteout", "lowerdir", "/a/f"), [], USER, KERNEL),
    (Mark("foreign", f"{T}*", "upperdir", "/u"), [], USER, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "words", "here", "backends"),
    MARKS,
    ids=[f"{mark.name}-{words}-{here.is_initial}" for mark, words, here, _ in MARKS],
)
def test_marks_close_the_ways_that_would_misread_them(
    mark: Mark, words: list[str], here: Here, backends: tuple[str, ...]
) -> None:
    mount, its = _one([*(RW if not words or "=/" not in words[0] else RW[1:]), *words])
    both = candidate.kernel(mount, its, [mark], here), candidate.fuse(mount, its, [mark], here, "runc")

    assert backends == tuple(by.backend for by in both if not by.rejected)
    for by in both:
        if by.rejected and by.rejected.page != "OVL-OPT-20":  # of fuse-overlayfs, by the option itself
            assert f"{mark.role}={mark.path} " in by.rejected.why
            assert mark.name in by.rejected.why


@pytest.mark.parametrize(
    ("mark", "words", "why", "page"),
    [
        (FUSE_MARK, [],
         "upperdir=/u/.wh.x has marks of fuse-overlayfs (.wh.x): the kernel would show deleted files again",
         "OVL-FUS-13"),
        (Mark("opaque", f"{T}opaque", "lowerdir", "/a/d"), ["userxattr"],
         "lowerdir=/a/d has marks in trusted.overlay.opaque, and this mount reads user.overlay.*: deleted "
         "files would come back",
         "OVL-UNS-07"),
        (Mark("opaque", f"{U}opaque", "lowerdir", "/a/d"), [],
         "lowerdir=/a/d has marks in user.overlay.opaque, and this mount reads trusted.overlay.*: deleted "
         "files would come back",
         "OVL-UNS-07"),
        (Mark("redirect", f"{U}redirect", "lowerdir", "/a/d"), [],
         "lowerdir=/a/d was written with user.overlay.redirect, which this mount does not follow: files "
         "would be unreadable or zeros",
         "OVL-LOW-22"),
    ],
)  # fmt: skip
def test_a_mark_is_told_with_its_finding(mark: Mark, words: list[str], why: str, page: str) -> None:
    by = candidate.kernel(*_one([*RW, *words]), [mark], Here())

    assert by.rejected is not None
    assert (why, page) == (by.rejected.why, by.rejected.page)


@pytest.mark.parametrize(
    ("without", "words", "why"),
    [
        ("/a", ["noacl"], "lowerdir=/a is on ext4 without POSIX ACLs"),
        ("/u", ["noacl"], "upperdir=/u is on ext4 without POSIX ACLs"),
        ("/w", [], ""),
        ("", [], ""),
    ],
)
def test_fuse_overlayfs_gets_noacl_where_a_layer_has_none(without: str, words: list[str], why: str) -> None:
    [mount] = overlays(RW)
    its = [layer(each.role, each.path, has_acl=each.path != without) for each in layers(mount)]

    by = candidate.fuse(mount, its, [], Here(), "runc")

    assert (words, [("noacl", why)] if why else []) == (by.words, by.added)
    assert candidate.kernel(mount, its, [], Here()).words == []


@pytest.mark.parametrize(("kind", "words"), [("runc", ["volatile"]), ("crun", ["volatile"]),
                                             ("runsc", ["volatile", "writeback=0"])])  # fmt: skip
def test_runsc_needs_fuse_without_write_back_cache(kind: str, words: list[str]) -> None:
    [step] = make("fuse", [*RW, "volatile"], kind=kind)

    assert words == step.candidates[0].words


def test_the_candidates_of_a_step_have_options_of_their_own() -> None:
    [step] = make("auto", [*RW, "volatile"], here=USER)

    assert [each.words for each in step.candidates] == [["volatile", "userxattr"], ["volatile"]]
    assert step.mount.options == {"volatile": ""}
