"""ocishim killed, or refused something, at each system call that changes something: root's, and a user's."""

import pathlib
from collections.abc import Iterator

import pytest
from anywhere.people import OwnBundle, Person, lend
from harness import Bundle, Host, Result
from kernel import sweep
from kernel.sweep import Point, Sweep

#: What each kind of bundle cannot do without: a sweep that misses one of them proves nothing.
BY_KERNEL = {"flock", "unshare", "mount", "mkdir", "fsopen", "fsconfig", "fsmount", "move_mount", "openat"}
BY_FUSE = {"flock", "unshare", "mount", "mkdir", "openat", "pipe2", "clone", "setsid", "setns", "dup2"}
BY_USER = {"clone", "pipe2", "execve", "write"}
#: What a FUSE server of a user's does otherwise than root's; the rest of its start is swept for root.
BY_USERS_SERVER = {"unshare", "setns", "umount2", "clone", "clone3", "pipe2", "execve", "setsid", "mount"}
BUNDLES = [
    pytest.param("root", "kernel", 1, BY_KERNEL, id="kernel"),
    pytest.param("root", "kernel", 2, BY_KERNEL | {"open_tree", "unlink"}, id="two-kernel"),
    pytest.param("root", "fuse", 1, BY_FUSE, id="fuse"),
    pytest.param("user", "kernel", 1, BY_KERNEL | BY_USER, id="user-kernel"),
    pytest.param("user", "fuse", 1, BY_USERS_SERVER - {"umount2"}, id="user-fuse"),
]
#: Where an error is no reason to stop. Lock files are refused by some file systems; then two containers
#: that start at once are not told apart. Without close_range(2) Python closes descriptors one by one.
HARMLESS = {"flock", "close_range"}
#: What fuse-overlayfs does about its own errors is its own affair: it goes on or ends, and both is right.
BY_SERVER = {"write", "mknodat", "mkdir", "dup", "chdir", "openat", "pipe2", "renameat", "renameat2"}
#: What a trial mounts with volatile it mounts once more without where that fails.
RETRIED = {"fsconfig"}
#: What removes a scratch layer: what cannot be removed is left to the next one.
BY_CLEANING = {"chmod", "rmdir", "unlink", "unlinkat", "renameat", "openat"}


@pytest.fixture
def host(directory: pathlib.Path, who: str) -> Iterator[Person]:
    """Run commands as root or as an ordinary user; afterwards nothing of them may be left."""
    yield from lend(directory, who)


@pytest.fixture
def bundle(host: Person) -> OwnBundle:
    return OwnBundle(host, host.directory / "bundle")


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(("who", "mode", "overlays", "needed"), BUNDLES)
def test_killed_anywhere_it_leaves_nothing_behind(
    host: Host, bundle: Bundle, who: str, mode: str, overlays: int, needed: set[str], part: int
) -> None:
    swept = sweep.make(host, bundle, overlays, mode)
    well = swept.run()
    points = _points(swept, who, mode)
    wrong: dict[str, object] = {}
    for point in points[part::2]:
        result = swept.break_at(point, "signal=KILL")
        hit = swept.was_hit()
        again = swept.run()
        problems = [*swept.damage(), *_not_refused(result, well)]
        if result.status == 0 or not hit:
            problems.append(f"not killed: {result}")
        if again != well:
            problems.append(f"then: {again}")
        if problems:
            wrong[str(point)] = problems

    assert wrong == {}
    assert well == Result(0, "".join(f"{number}\n" for number in range(1, overlays + 1)), "")
    assert needed - {point.syscall for point in points} == set()


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(("who", "mode", "overlays", "needed"), BUNDLES)
def test_refused_anything_it_says_so_and_starts_nothing(
    host: Host, bundle: Bundle, who: str, mode: str, overlays: int, needed: set[str], part: int
) -> None:
    swept = sweep.make(host, bundle, overlays, mode)
    well = swept.run()
    points = [
        point for point in _points(swept, who, mode) if point.syscall != "writev"
    ]  # see test_fuse_driver.py
    wrong: dict[str, object] = {}
    for point in points[part::2]:
        result = swept.break_at(point, "error=EIO")
        hit = swept.was_hit()
        muted = swept.was_muted()
        again = swept.run()
        problems = swept.damage()
        if (not _is_harmless(point, mode) or result != well) and not (muted and result == Result(1, "", "")):
            problems += _not_refused(result, well)
        if point.syscall in HARMLESS and result != well:
            problems.append(f"not harmless: {result}")
        if not hit or result.status < 0:
            problems.append(f"not refused: {result}")
        if again != well:
            problems.append(f"then: {again}")
        if problems:
            wrong[str(point)] = problems

    assert wrong == {}
    assert well.status == 0
    assert needed - {point.syscall for point in points} == set()


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
@pytest.mark.parametrize("action", ["signal=KILL", "error=EIO"])
def test_real_runc_after_a_crash(host: Host, bundle: Bundle, mode: str, action: str) -> None:
    bundle.layer("lower1", file="1\n")
    bundle.overlay(lower="lower1", upper="upper1")
    bundle.spec["process"]["args"] = ["cat", "/ov/file"]
    swept = Sweep(host, bundle, mode, host.path("runc"))
    wrong = {}
    for point in (Point("mount", 2), Point("mount", 4), Point("execve", 1, swept.runtime)):
        result = swept.break_at(point, action)
        again = swept.run()
        problems = [*swept.damage(), *([f"{result}"] if result.out or not result.status else [])]
        if again != Result(0, "1\n", ""):
            problems.append(f"then: {again}")
        if problems:
            wrong[str(point)] = problems

    assert wrong == {}


def _points(swept: Sweep, who: str, mode: str) -> list[Point]:
    found = swept.points()
    if (who, mode) != ("user", "fuse"):
        return found
    return [point for point in found if point.syscall in BY_USERS_SERVER]


def _is_harmless(point: Point, mode: str) -> bool:
    return point.syscall in HARMLESS | BY_CLEANING | RETRIED or (
        mode == "fuse" and point.syscall in BY_SERVER
    )


def _not_refused(result: Result, well: Result) -> list[str]:
    """Say what is wrong with the end of a run that must not start the container."""
    if result.status < 0 and result.err == "" and result.out == "":
        return []  # killed
    one_line = result.err.startswith("ocishim: ") and result.err.count("\n") == 1
    if result.status == 1 and result.out == "" and one_line:
        return []
    return [f"not refused in one line: {result}"]
