"""Layers that make no overlay, each with its finding."""

import errno

import pytest
from unit.steps import layer

from ocishim import layers, overlay
from ocishim.errors import SpecError
from ocishim.probe.layer import Layer
from ocishim.step import Step

BTRFS = 0x9123683E


def upper(path: str, **more: int) -> Layer:
    return layer("upperdir", path, **more)  # type: ignore[arg-type]  # one of them is a bool


def work(path: str, **more: int) -> Layer:
    return layer("workdir", path, **more)  # type: ignore[arg-type]  # one of them is a bool


def lower(path: str, role: str = "lowerdir", **more: int) -> Layer:
    return layer(role, path, **more)  # type: ignore[arg-type]  # one of them is a bool


def volatile(path: str) -> Layer:
    found = work(path)
    found.is_marked = True
    return found


@pytest.mark.parametrize(
    "its",
    [
        [upper("/u"), work("/w"), lower("/a"), lower("/b")],
        [upper("/a/u"), work("/a/w"), lower("/a")],  # ovl_check_overlapping_layers looks at lower layers only
        [upper("/u"), work("/w"), lower("/u/x", device=2)],
        [upper("/x"), work("/xy"), lower("/xyz")],
        [lower("/a"), lower("/b", inode=hash("/a"), device=2)],
        [lower("/ab"), lower("/a")],
        [lower("/a"), lower("/b", mount=2)],
        [lower("/", inode=2)],
        [lower("/a", read_only=True)],
    ],
    ids=lambda its: ":".join(f"{one.path}@{one.device}" for one in its),
)
def test_separate_layers_make_an_overlay(its: list[Layer]) -> None:
    layers.check("mounts[1]", its)


_SIBLINGS = "make them siblings; ocishim explain OVL-OPT-11"
_TOGETHER = "put both into one directory below one mount; ocishim explain OVL-OPT-10"
_SEPARATE = "name each directory once and use separate trees; ocishim explain OVL-OPT-12"
_CORRECT = (
    "correct the path, or make the directory; ocishim takes relative ones from the bundle; "
    "ocishim explain OVL-LOW-21"
)
LAYERS = [
    (
        [upper("/u", is_fixed=True), work("/w"), lower("/a")],
        "upperdir=/u is immutable or append-only: nothing could be made or deleted in it; take the flag from "
        "it, or name another directory; ocishim explain OVL-UPP-18",
    ),
    (
        [upper("/u", read_only=True), work("/w", read_only=True), lower("/a")],
        "upperdir=/u is on a read-only mount; mount it rw, or leave out upperdir and workdir for a read-only "
        "overlay; ocishim explain OVL-UPP-14",
    ),
    (
        [upper("/u"), work("/w", read_only=True), lower("/a")],
        "workdir=/w is on a read-only mount; mount it rw, or leave out upperdir and workdir for a read-only "
        "overlay; ocishim explain OVL-UPP-14",
    ),
    (
        [upper("/u"), volatile("/w"), lower("/a")],
        "upperdir=/u was mounted volatile before and may be incomplete: /w/work/incompat/volatile exists; "
        "begin a new upper layer; if you know that the data is whole, remove the mark; after EIO, sync and "
        "try again; ocishim explain OVL-OPT-17",
    ),
    ([lower("/a"), lower("/b", errno=errno.ENOENT)], f"lowerdir=/b: does not exist; {_CORRECT}"),
    ([lower("/a", errno=errno.ENOTDIR)],
     "lowerdir=/a is not a directory; bind the file, or mount the image and name the directory; "
     "ocishim explain OVL-LOW-19"),
    ([lower("/a"), lower("/d", "datadir", errno=errno.ENOTCONN)],
     "/d is a FUSE mount without a server (ENOTCONN); unmount it and mount again; start the server outside "
     "of the cgroup that is stopped; ocishim explain OVL-FUS-06"),
    ([upper("/u", errno=errno.EACCES), work("/w")], f"upperdir=/u: EACCES, access refused; {_CORRECT}"),
    ([lower("/a", errno=errno.EIO)], f"lowerdir=/a: EIO, input/output error; {_CORRECT}"),
    ([upper("/u"), work("/u")], f"workdir=/u is upperdir; {_SIBLINGS}"),
    ([upper("/u"), work("/u/w")], f"workdir=/u/w lies inside upperdir=/u; {_SIBLINGS}"),
    ([upper("/w/u"), work("/w")], f"upperdir=/w/u lies inside workdir=/w; {_SIBLINGS}"),
    ([upper("/u"), work("/w", device=2)],
     f"workdir=/w and upperdir=/u are on different file systems; {_TOGETHER}"),
    ([upper("/u"), work("/u/w", device=2)],
     f"workdir=/u/w and upperdir=/u are on different file systems; {_TOGETHER}"),
    ([upper("/u"), work("/w", mount=2)],
     f"workdir=/w and upperdir=/u are on different mounts of one file system; {_TOGETHER}"),
    ([upper("/u", magic=BTRFS), work("/w", magic=BTRFS, device=2)],
     "upperdir=/u and workdir=/w are in different btrfs subvolumes: nothing could be copied up; make both "
     "plain directories inside one subvolume; ocishim explain OVL-UPP-07"),
    ([lower("/a"), lower("/b"), lower("/a")],
     f"lowerdir=/a is the same directory as lowerdir=/a; {_SEPARATE}"),
    ([lower("/a"), lower("/b", inode=hash("/a"))],
     f"lowerdir=/b is the same directory as lowerdir=/a; {_SEPARATE}"),
    ([upper("/u"), work("/w"), lower("/u")],
     f"lowerdir=/u is the same directory as upperdir=/u; {_SEPARATE}"),
    ([lower("/a/b/c"), lower("/a")], f"lowerdir=/a/b/c lies inside lowerdir=/a; {_SEPARATE}"),
    ([lower("/a"), lower("/a/d", "datadir")], f"datadir=/a/d lies inside lowerdir=/a; {_SEPARATE}"),
    ([lower("/"), lower("/a")], f"lowerdir=/a lies inside lowerdir=/; {_SEPARATE}"),
    ([upper("/u"), work("/w"), lower("/w/x")], f"lowerdir=/w/x lies inside workdir=/w; {_SEPARATE}"),
]  # fmt: skip


@pytest.mark.parametrize(("its", "message"), LAYERS, ids=[message for _, message in LAYERS])
def test_layers_that_cannot_make_an_overlay_are_refused(its: list[Layer], message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        layers.check("mounts[1]", its)

    assert f"mounts[1]: {message}" == str(refusal.value)


@pytest.mark.parametrize("role", ["upperdir", "workdir"])
def test_a_directory_in_use_is_told_of_the_overlay_that_wants_it(role: str) -> None:
    spec: dict[str, object] = {
        "mounts": [
            {
                "destination": f"/{n}",
                "type": "overlay",
                "options": ["lowerdir=/a", f"upperdir=/u{n}", f"workdir=/w{n}"],
            }
            for n in range(2)
        ]
    }
    steps = [Step(mount, [upper(mount.upper), work(mount.work), lower("/a")]) for mount in overlay.find(spec)]
    [taken] = [each for each in steps[1].written if each.role == role]

    error = layers.in_use(steps, taken, "pid 7 (cat)")

    assert str(error) == (
        f"mounts[1]: {role}={taken.path} is in use by pid 7 (cat); stop the other container or give this one "
        "directories of its own; find a leaked mount by its processes; ocishim explain OVL-OPT-13"
    )
