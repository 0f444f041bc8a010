"""What a trial never touches: files of the host, to which a layer, or whoever writes to workdir, leads it."""

import os
import pathlib
from collections.abc import Callable
from errno import EACCES, EMFILE

import pytest
from harness import OCISHIM, Bundle, Host, Result

from ocishim import linux, patience
from ocishim.errors import MountError
from ocishim.overlay import OverlayMount
from ocishim.probe import layer, rehearsal, room
from ocishim.step import Step

Trap = Callable[[Bundle, pathlib.Path], object]


def _directory_by_link(bundle: Bundle, victim: pathlib.Path) -> None:
    """A directory of the lower layer is a link in the upper one of two, as /var/run → /run."""
    bundle.layer("low/run", file="x\n")
    (bundle.layer("top") / "run").symlink_to(victim / "opaque")


def _directory_by_relative_link(bundle: Bundle, victim: pathlib.Path) -> None:
    bundle.layer("low/run", file="x\n")
    (bundle.layer("top") / "run").symlink_to("../" * 40 + str(victim)[1:] + "/opaque")


def _deep_directory_by_link(bundle: Bundle, victim: pathlib.Path) -> None:
    bundle.layer("low/a/opaque", file="x\n")
    (bundle.layer("top") / "a").symlink_to(victim)


def _file_by_link(bundle: Bundle, victim: pathlib.Path) -> None:
    """A file of the lower layer that looks like one of the host, to which a link leads."""
    file = bundle.layer("low/run", precious="other!!!") / "precious"
    for number in range(9):
        (file.parent / str(number)).mkdir()
    found = (victim / "precious").stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    (bundle.layer("top") / "run").symlink_to(victim)


def _scratch_name(bundle: Bundle, victim: pathlib.Path) -> None:
    """The directory that the trial works in is a link in a layer."""
    bundle.layer("low")
    (bundle.layer("top") / room.SCRATCH).symlink_to(victim)


def _scratch_content(bundle: Bundle, victim: pathlib.Path) -> None:
    """The directory that the trial works in is there already, with links in it."""
    bundle.layer("low")
    directory = bundle.layer(f"top/{room.SCRATCH}")
    for name in ("directory", "opaque"):
        (directory / name).symlink_to(victim)
    for name in ("gone", "moved"):
        (directory / name).symlink_to(victim / "precious")


def _scratch_in_workdir(bundle: Bundle, victim: pathlib.Path) -> None:
    for name in ("low", "top"):
        bundle.layer(name)
    (bundle.directory / "work" / room.SCRATCH).symlink_to(victim)


def _link_in_what_was_left(bundle: Bundle, victim: pathlib.Path) -> None:
    for name in ("low", "top"):
        bundle.layer(name)
    left = bundle.layer(f"work/{room.SCRATCH}/upper")
    (left / "d").symlink_to(victim)
    (left / "f").symlink_to(victim / "precious")


TRAPS = [
    _directory_by_link,
    _directory_by_relative_link,
    _deep_directory_by_link,
    _file_by_link,
    _scratch_name,
    _scratch_content,
    _scratch_in_workdir,
    _link_in_what_was_left,
]


def snapshot(directory: pathlib.Path) -> list[object]:
    found: list[object] = []
    for path in sorted([directory, *directory.rglob("*")]):
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        fields = (stat.st_ino, stat.st_mode, stat.st_uid, stat.st_mtime_ns, stat.st_ctime_ns)
        found.append((str(path), fields, os.listxattr(path), content))
    return found


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_a_trial_is_led_to_no_file_of_the_host(
    host: Host, bundle: Bundle, tmp_path: pathlib.Path, mode: str, trap: Trap
) -> None:
    victim = tmp_path / "victim"
    for name in ("directory", "opaque"):
        (victim / name).mkdir(parents=True)
        (victim / name / "file").write_text("lower\n")
    for name in ("file", "gone", "moved"):
        (victim / name).write_text("lower\n")
    (victim / "precious").write_text("precious")
    for name in ("upper", "work"):
        bundle.layer(name)
    trap(bundle, victim)
    bundle.overlay("lowerdir=top:low", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "echo started"
    before = snapshot(victim)

    script = f'mount --bind {bundle.directory}/low {bundle.directory}/low; exec "$@"'
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(OCISHIM)]
    words = ["--overlay", mode, "--runtime", "runc", "--root", host.root("runc")]

    planned = host.run("runc", [*alone, "plan", *words[:4], bundle.path])
    ran = host.run("runc", [*alone, *words, "run", "--bundle", bundle.path, host.id("runc")])

    assert snapshot(victim) == before
    assert (planned.status, planned.err, ran) == (0, "", Result(0, "started\n", ""))
    assert [name for name in os.listdir(bundle.directory / "work") if name != "work"] == []


def test_removes_an_empty_directory_that_was_given_to_another_user(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a hostfs gives what is made there to the host's root, whoever has made it."""
    monkeypatch.chdir(tmp_path)
    os.mkdir(room.SCRATCH, 0o700)
    os.chown(tmp_path, 65534, 65534)

    def work(_: object) -> None:
        os.setresuid(65534, 65534, 65534)
        room.remove(room.SCRATCH)

    patience.ask(work)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("errno", [EACCES, EMFILE])
def test_a_scratch_directory_that_does_not_open_is_removed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, errno: int
) -> None:
    """As in a user namespace on a hostfs: mkdir(2) makes it for the host's root, who alone may open it."""
    (tmp_path / "work").mkdir()
    real = os.open

    def open_(path: str, *more: int, **named: int) -> int:
        if path == room.SCRATCH:
            raise OSError(errno, "no", path)
        return real(path, *more, **named)

    monkeypatch.setattr(os, "open", open_)
    with pytest.raises(OSError, match=room.SCRATCH) as raised:
        room.in_scratch(layer.look("workdir", "work", str(tmp_path)), lambda scratch: scratch)

    assert (raised.value.errno, os.listdir(tmp_path / "work")) == (errno, [])


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_what_takes_the_place_of_the_scratch_directory_is_not_touched(
    tmp_path: pathlib.Path, mode: str
) -> None:
    """As the owner of workdir may do at any time, with a link to where there are such names, too."""
    victim = tmp_path / "victim"
    for name in ("upper", "work", "lower/x/directory"):
        (victim / name).mkdir(parents=True)
        (victim / name / "file").write_text("precious")
    for name in ("upper", "work", "lower"):
        (tmp_path / name).mkdir()
    before = snapshot(victim)
    seen: list[list[str]] = []

    def attach(copy: Step, _: bool) -> None:
        if not seen:
            os.rename(tmp_path / "work" / room.SCRATCH, tmp_path / "work/renamed")
            (tmp_path / "work" / room.SCRATCH).symlink_to(victim)
        seen.append([os.path.realpath(path) for path in (copy.upper, copy.work, copy.lower[-1])])
        raise MountError("mount", "no")

    layers = [layer.look(role, role[:-3], str(tmp_path)) for role in ("upperdir", "workdir", "lowerdir")]
    step = Step(OverlayMount(0, "/ov", "overlay"), layers)
    lower = str(tmp_path / "laid") if mode == "kernel" else ""
    if lower:
        rehearsal.lay(lower)

    with pytest.raises(MountError):
        rehearsal.run(step, attach, lambda _: None, "/nowhere", lower, lambda _: None)

    assert snapshot(victim) == before
    assert (
        seen
        == [
            [f"{tmp_path}/work/renamed/{name}" for name in ("upper", "work")]
            + [lower or f"{tmp_path}/work/renamed/lower"]
        ]
        * 2
    )
    assert os.listdir(tmp_path / "work/renamed") == []


def test_removes_a_tree_of_any_depth(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir(room.SCRATCH)
    for number in range(3000):
        for name in ("other", "0"):
            os.mkdir(f"{room.SCRATCH}/{name}")
        if number:
            os.rename("deep", f"{room.SCRATCH}/0/0")
        os.rename(f"{room.SCRATCH}/0", "deep")
        os.rmdir(f"{room.SCRATCH}/other")
    os.rename("deep", f"{room.SCRATCH}/deep")

    room.remove(room.SCRATCH)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("inside", ["", "/a", "/a/b"])
def test_removes_nothing_of_what_is_mounted_in_it(tmp_path: pathlib.Path, inside: str) -> None:
    victim, scratch = tmp_path / "victim", tmp_path / room.SCRATCH
    (victim / "d").mkdir(parents=True)
    (victim / "d/file").write_text("precious")
    (scratch / "a/b").mkdir(parents=True)

    def work(_: object) -> None:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("", "/", "", linux.MS_REC | linux.MS_SLAVE)
        linux.mount(str(victim), f"{scratch}{inside}", "", linux.MS_BIND)
        room.remove(str(scratch))

    patience.ask(work)

    assert (victim / "d/file").read_text() == "precious"
