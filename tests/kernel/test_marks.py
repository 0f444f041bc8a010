"""Marks in layers, written by real overlays of the kernel and of fuse-overlayfs."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from ocishim.probe import layer, marks

#: What is done in each overlay: a deletion, a directory made anew, one renamed, a file's mode changed.
_CHANGES = "cd m; rm gone; rm -r d; mkdir d; mv e f || true; mkdir new; chmod 600 big; echo x >>file; cd .."
_KERNEL = "mount -t overlay -o lowerdir=l,upperdir=u,workdir=w{} o m"
_FUSE = "fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w m"
ROOT = ["unshare", "--mount", "--propagation", "private"]
USER = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]

Found = set[tuple[str, str, str]]


def make(directory: pathlib.Path, who: list[str], mount: str) -> None:
    """Make a lower layer l and have u written by an overlay on it."""
    for name in ("l/d", "l/e", "u", "w", "m"):
        (directory / name).mkdir(parents=True)
    for name in ("d/file", "gone", "e/x", "big", "file"):
        (directory / "l" / name).write_text("lower\n")
    script = f"set -e; {mount}; {_CHANGES}; umount m"
    subprocess.run([*who, "sh", "-c", script], cwd=directory, check=True)


def look(
    directory: pathlib.Path, *named: str, is_initial: bool = True, limit: int = marks.LIMIT
) -> tuple[Found, bool]:
    """Find marks in layers, top → bottom: kind, name and path."""
    roles = [word.partition("=") for word in named]
    layers = [layer.look(role, path, str(directory)) for role, _, path in roles]
    assert [each.errno for each in layers] == [0] * len(layers)
    found, is_all = marks.look(layers, is_initial, limit)
    return {(mark.kind, mark.name, os.path.relpath(mark.path, directory)) for mark in found}, is_all


T, U = "trusted.overlay", "user.overlay"
OPAQUE = (".wh..wh..opq", "u/d/.wh..wh..opq")
#: Who mounts, how, and which marks are then in u.
WRITTEN: dict[str, tuple[list[str], str, Found]] = {
    "kernel": (ROOT, _KERNEL.format(""), {("opaque", f"{T}.opaque", "u/d")}),
    "kernel, userxattr": (ROOT, _KERNEL.format(",userxattr"), {("opaque", f"{U}.opaque", "u/d")}),
    "kernel, in a user namespace": (
        USER,
        _KERNEL.format(",userxattr"),
        {("opaque", f"{U}.opaque", "u/d")},
    ),
    "kernel, metacopy and redirect_dir": (
        ROOT,
        _KERNEL.format(",metacopy=on,redirect_dir=on"),
        {
            ("opaque", f"{T}.opaque", "u/d"),
            ("redirect", f"{T}.redirect", "u/f"),
            ("metacopy", f"{T}.metacopy", "u/big"),
        },
    ),
    "fuse-overlayfs": (ROOT, _FUSE, {("opaque", f"{T}.opaque", "u/d"), ("fuse", *OPAQUE)}),
    "fuse-overlayfs, in a user namespace": (
        USER,
        _FUSE,
        {("fuse", "user.fuseoverlayfs.opaque", "u/d"), ("fuse", *OPAQUE)},
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
@pytest.mark.parametrize("role", ["upperdir", "lowerdir"])
def test_marks_are_found_where_a_lower_layer_has_the_same(
    tmp_path: pathlib.Path, case: str, role: str
) -> None:
    who, mount, expected = WRITTEN[case]
    make(tmp_path, who, mount)

    assert look(tmp_path, f"{role}=u", "lowerdir=l") == (expected, True)


@pytest.mark.parametrize("case", WRITTEN)
def test_a_layer_with_nothing_of_it_below_has_no_marks(tmp_path: pathlib.Path, case: str) -> None:
    """But a file whose content lies elsewhere, and a directory that was renamed, are marked by themselves."""
    who, mount, expected = WRITTEN[case]
    make(tmp_path, who, mount)
    (tmp_path / "other").mkdir()

    found, is_all = look(tmp_path, "upperdir=u", "lowerdir=other")

    assert (found, is_all) == ({mark for mark in expected if mark[0] in ("redirect", "metacopy")}, True)
    assert look(tmp_path, "lowerdir=u") == (set(), True)


@pytest.mark.parametrize("case", WRITTEN)
def test_a_storage_deeper_inside_a_layer_is_not_looked_into(tmp_path: pathlib.Path, case: str) -> None:
    """As lowerdir=/, below which an engine keeps its own layers."""
    who, mount, _ = WRITTEN[case]
    storage = tmp_path / "root/var/lib/containers"
    storage.mkdir(parents=True)
    make(storage, who, mount)
    for name in ("etc", "upper"):
        (tmp_path / name).mkdir()

    found = look(tmp_path, "upperdir=upper", "lowerdir=root", "lowerdir=etc")

    assert found == (set(), True)


def test_a_storage_is_looked_into_where_a_lower_layer_has_the_same_path(tmp_path: pathlib.Path) -> None:
    who, mount, _ = WRITTEN["kernel"]
    for name in ("upper", "root/var/lib"):
        (tmp_path / name).mkdir(parents=True)
    make(tmp_path / "root/var/lib", who, mount)
    (tmp_path / "below/var/lib/u/d").mkdir(parents=True)

    found, _ = look(tmp_path, "upperdir=upper", "lowerdir=root", "lowerdir=below")

    assert found == {("opaque", f"{T}.opaque", "root/var/lib/u/d")}


def test_whiteouts_by_device_are_no_marks(tmp_path: pathlib.Path) -> None:
    for name in ("u", "l"):
        (tmp_path / name).mkdir()
    (tmp_path / "l/gone").touch()
    os.mknod(tmp_path / "u/gone", 0o20000, 0)

    assert look(tmp_path, "upperdir=u", "lowerdir=l") == (set(), True)


#: A file's name in u, and whether it hides something of l: directories d and empty, files file and .wh.x.
NAMES = [
    (".wh.file", True),
    (".wh.d", True),
    (".wh.none", False),
    ("d/.wh.inner", True),
    ("d/.wh.none", False),
    ("d/.wh..wh..opq", True),
    ("d/.wh..opq", True),
    (".wh..wh..opq", True),
    ("new/.wh..wh..opq", False),
    ("new/.wh.file", False),
    ("wh.file", False),
    (".whfile", False),
    (".wh.", False),
]


@pytest.mark.parametrize(("name", "is_mark"), NAMES)
def test_a_name_of_fuse_overlayfs_counts_where_it_hides(
    tmp_path: pathlib.Path, name: str, is_mark: bool
) -> None:
    for directory in ("u/d", "u/new", "l/d"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("l/file", "l/d/inner", f"u/{name}"):
        (tmp_path / file).touch()

    found, _ = look(tmp_path, "upperdir=u", "lowerdir=l")

    assert found == ({("fuse", os.path.basename(name), f"u/{name}")} if is_mark else set())


@pytest.mark.parametrize(
    ("parent", "name", "is_mark"),
    [
        ("x", "whiteout", True),
        ("y", "whiteout", False),  # the directory hides all anyway
        ("", "whiteout", False),
        ("x", "other", False),
    ],
)
@pytest.mark.parametrize("prefix", [T, U])
def test_a_whiteout_by_xattr_counts_in_a_directory_that_says_so(
    tmp_path: pathlib.Path, parent: str, name: str, is_mark: bool, prefix: str
) -> None:
    for directory in ("u/d", "l/d"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "gone").touch()
    if parent:
        os.setxattr(tmp_path / "u/d", f"{prefix}.opaque", parent.encode())
    os.setxattr(tmp_path / "u/d/gone", f"{prefix}.{name}", b"y")

    found, _ = look(tmp_path, "upperdir=u", "lowerdir=l")

    expected = {("whiteout", f"{prefix}.whiteout", "u/d/gone")} if is_mark else set()
    assert {mark for mark in found if mark[0] != "opaque"} == expected


@pytest.mark.parametrize("more", [0, 3000], ids=["xattrs in the inode", "xattrs in a block of their own"])
@pytest.mark.parametrize("size", [1, 6, 4096, 1 << 20])
def test_metacopy_is_found_whatever_else_the_file_has(tmp_path: pathlib.Path, more: int, size: int) -> None:
    """ext4 counts a block of xattrs among the file's blocks."""
    for directory in ("u", "l"):
        (tmp_path / directory).mkdir()
    (tmp_path / "u/file").touch()
    os.truncate(tmp_path / "u/file", size)
    os.setxattr(tmp_path / "u/file", f"{T}.metacopy", b"")
    if more:
        os.setxattr(tmp_path / "u/file", "user.more", b"x" * more)

    found, _ = look(tmp_path, "upperdir=u", "lowerdir=l")

    assert found == {("metacopy", f"{T}.metacopy", "u/file")}


def test_metacopy_for_data_only_layers_is_found_in_the_last_layer(tmp_path: pathlib.Path) -> None:
    for directory in ("l", "d"):
        (tmp_path / directory).mkdir()
    (tmp_path / "l/file").touch()
    os.truncate(tmp_path / "l/file", 6)
    os.setxattr(tmp_path / "l/file", f"{T}.metacopy", b"")

    found, _ = look(tmp_path, "lowerdir=l", "datadir=d")

    assert found == {("metacopy", f"{T}.metacopy", "l/file")}
    assert look(tmp_path, "lowerdir=l") == (set(), True)


@pytest.mark.parametrize(
    ("count", "limit", "is_all"), [(10, 10, True), (10, 9, False), (0, 0, True), (5000, 1000, False)]
)
def test_no_more_is_looked_at_than_the_limit(
    tmp_path: pathlib.Path, count: int, limit: int, is_all: bool
) -> None:
    for directory in ("u", "l"):
        (tmp_path / directory).mkdir()
    for number in range(count):
        (tmp_path / "u" / str(number)).touch()

    assert look(tmp_path, "upperdir=u", "lowerdir=l", limit=limit) == (set(), is_all)


def test_what_was_found_before_the_limit_is_told(tmp_path: pathlib.Path) -> None:
    for directory in ("u", "m", "l"):
        (tmp_path / directory).mkdir()
    (tmp_path / "u/.wh.file").touch()
    for number in range(10):
        (tmp_path / "m" / str(number)).touch()
    (tmp_path / "l/file").touch()

    found = look(tmp_path, "upperdir=u", "lowerdir=m", "lowerdir=l", limit=5)

    assert found == ({("fuse", ".wh.file", "u/.wh.file")}, False)


def test_links_and_mount_points_are_not_followed(tmp_path: pathlib.Path) -> None:
    for directory in ("u", "l/d", "elsewhere"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "elsewhere/.wh.file").touch()
    (tmp_path / "l/d/file").touch()
    (tmp_path / "u/d").symlink_to("../elsewhere")
    (tmp_path / "u/loop").symlink_to("loop")
    (tmp_path / "l/loop").mkdir()

    assert look(tmp_path, "upperdir=u", "lowerdir=l") == (set(), True)


def test_one_mark_of_each_kind_is_enough(tmp_path: pathlib.Path) -> None:
    for directory in ("u", "l"):
        for number in range(5):
            (tmp_path / directory / str(number)).mkdir(parents=True)
    for number in range(5):
        os.setxattr(tmp_path / f"u/{number}", f"{T}.opaque", b"y")
        if number % 2:
            os.setxattr(tmp_path / f"u/{number}", f"{U}.opaque", b"y")

    found, _ = look(tmp_path, "upperdir=u", "lowerdir=l")

    assert sorted((kind, name) for kind, name, _ in found) == [
        ("opaque", f"{T}.opaque"),
        ("opaque", f"{U}.opaque"),
    ]


#: Looks as root of a user namespace, to whom trusted xattrs do not exist.
_LOOK = """
import json, os, sys
from ocishim.probe import layer, marks
layers = [layer.look(role, path, ".") for role, path in (word.split("=") for word in sys.argv[1:])]
found, _ = marks.look(layers, False)
print(json.dumps([[mark.kind, mark.name, os.path.relpath(mark.path)] for mark in found]))
"""


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("kernel", {("foreign", "trusted.overlay.*", "u")}),
        ("kernel, userxattr", {("opaque", f"{U}.opaque", "u/d")}),
        ("kernel, in a user namespace", {("opaque", f"{U}.opaque", "u/d")}),
        (
            "kernel, metacopy and redirect_dir",
            {("foreign", "trusted.overlay.*", "u"), ("metacopy", f"{T}.metacopy", "u/big")},
        ),
        ("fuse-overlayfs, in a user namespace", WRITTEN["fuse-overlayfs, in a user namespace"][2]),
    ],
)
def test_in_a_user_namespace_what_it_cannot_see_is_told_by_its_traces(
    tmp_path: pathlib.Path, case: str, expected: Found
) -> None:
    who, mount, _ = WRITTEN[case]
    make(tmp_path, who, mount)

    done = subprocess.run(
        [*USER, sys.executable, "-c", _LOOK, "upperdir=u", "lowerdir=l"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert {tuple(mark) for mark in json.loads(done.stdout)} == expected


@pytest.mark.parametrize("content", [["d"], ["file"], ["d", "file"], []])
def test_an_upper_layer_without_whiteouts_is_nobodys(tmp_path: pathlib.Path, content: list[str]) -> None:
    for name in ("u", "l/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "l/file").write_text("x")
    for name in content:
        (tmp_path / "u" / name).mkdir() if name == "d" else (tmp_path / "u" / name).write_text("x")

    assert look(tmp_path, "upperdir=u", "lowerdir=l", is_initial=False) == (set(), True)


@pytest.mark.parametrize(
    ("lower", "upper", "is_mark"),
    [
        (b"x" * 5000, 5000, True),
        (b"x" * 5000, 5001, False),  # of another size: no copy of this one
        (b"x", 1, True),
        (b"", 0, False),
        (5000, 5000, False),  # a hole in both
    ],
)
def test_in_a_user_namespace_a_hole_in_the_place_of_content_is_metacopy(
    tmp_path: pathlib.Path, lower: bytes | int, upper: int, is_mark: bool
) -> None:
    for name in ("u", "l"):
        (tmp_path / name).mkdir()
    (tmp_path / "l/file").write_bytes(b"" if isinstance(lower, int) else lower)
    (tmp_path / "u/file").touch()
    os.truncate(tmp_path / "u/file", upper)
    if isinstance(lower, int):
        os.truncate(tmp_path / "l/file", lower)

    found, _ = look(tmp_path, "upperdir=u", "lowerdir=l", is_initial=False)

    assert found == ({("metacopy", f"{T}.metacopy", "u/file")} if is_mark else set())
    assert look(tmp_path, "upperdir=u", "lowerdir=l") == (set(), True)
