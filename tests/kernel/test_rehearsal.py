"""Trials of overlays on real file systems: what they find, and that they leave everything as it was."""

import os
import pathlib
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from harness import OCISHIM, STAGE, Bundle, Host, Result

from ocishim.probe import rehearsal

Fill = Callable[[pathlib.Path], object]


def snapshot(directory: pathlib.Path) -> dict[str, object]:
    """Describe all in a directory, as only a change of it would change."""
    found: dict[str, object] = {}
    for path in [os.fsencode(directory), *_below(os.fsencode(directory))]:
        status = os.lstat(path)
        names = os.listxattr(path, follow_symlinks=False)
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        content = b""
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read(1 << 20)
        fields = [getattr(status, f"st_{name}") for name in ("ino", "mode", "uid", "gid", "size", "nlink")]
        found[os.fsdecode(path)] = (*fields, status.st_mtime_ns, status.st_ctime_ns, xattrs, content)
    return found


def _below(directory: bytes) -> Iterator[bytes]:
    for path, directories, files in os.walk(directory):
        yield from (os.path.join(path, name) for name in (*directories, *files))


def _plain(layer: pathlib.Path) -> None:
    (layer / "etc/d").mkdir(parents=True)
    (layer / "etc/passwd").write_text("root\n")
    (layer / "etc/d/one").write_text("1\n")
    (layer / "top").write_text("top\n")


def _nothing(_: pathlib.Path) -> None:
    pass


def _odd_names(layer: pathlib.Path) -> None:
    for name in (
        b"new\nline",
        b"\xff\xfe",
        b" ",
        b"-rf",
        b"'\"\\",
        "größe-名前".encode(),
        b"x" * 200,
        b"a:b,c",
    ):
        directory = os.path.join(os.fsencode(layer), name)
        os.mkdir(directory)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(name)


def _special(layer: pathlib.Path) -> None:
    """What hangs or does something when it is opened."""
    for directory in ("", "d"):
        (layer / directory).mkdir(exist_ok=True)
        os.mkfifo(layer / directory / "fifo")
        os.mknod(layer / directory / "null", 0o20666, os.makedev(1, 3))
        os.mknod(layer / directory / "watchdog", 0o20666, os.makedev(10, 130))
        os.mknod(layer / directory / "disk", 0o60666, os.makedev(7, 0))
        here = os.getcwd()
        os.chdir(layer / directory)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
        os.chdir(here)
        (layer / directory / "loop").symlink_to("loop")
        (layer / directory / "away").symlink_to("/etc/passwd")


def _huge(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    for number in range(10_000):
        os.close(os.open(layer / "d" / f"{number:05}", os.O_CREAT | os.O_WRONLY))


def _deep(layer: pathlib.Path) -> None:
    (layer / "/".join("d" * 50)).mkdir(parents=True)


def _large(layer: pathlib.Path) -> None:
    for name in ("a", "b"):
        with open(layer / name, "wb") as file:
            file.truncate(1 << 40)
    (layer / "c").write_bytes(b"x" * 100_000)


def _modes(layer: pathlib.Path) -> None:
    for number, mode in enumerate((0, 0o4755, 0o2755, 0o1777, 0o444)):
        (layer / f"d{number}").mkdir()
        (layer / f"d{number}/file").write_text("x")
        os.chown(layer / f"d{number}/file", number, 100_000 + number)
        os.chmod(layer / f"d{number}/file", mode)
        os.chmod(layer / f"d{number}", mode)


def _xattrs(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    (layer / "d/file").write_text("x")
    (layer / "file").write_text("x")
    os.setxattr(layer / "file", "user.x", b"y" * 1000)
    os.setxattr(layer / "file", "trusted.x", b"y")
    os.setxattr(layer / "d", "user.x", b"y")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(layer / "d/file", "security.capability", capability)


def _hard_links(layer: pathlib.Path) -> None:
    (layer / "one").write_text("x")
    (layer / "d").mkdir()
    os.link(layer / "one", layer / "d/two")


def _names_of_ours(layer: pathlib.Path) -> None:
    for name in (rehearsal.SCRATCH, "d"):
        (layer / name / "directory").mkdir(parents=True)
        for file in ("directory/file", "gone", ".ocishim-new"):
            (layer / name / file).write_text("other\n")


def _whiteouts(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    os.mknod(layer / "gone", 0o20000, 0)
    os.mknod(layer / "d/gone", 0o20000, 0)
    (layer / "d/file").write_text("x")


FILLS: list[Fill] = [
    _plain, _nothing, _odd_names, _special, _huge, _deep, _large, _modes, _xattrs, _hard_links,
    _names_of_ours, _whiteouts,
]  # fmt: skip


def overlays(bundle: Bundle, *lowers: str) -> None:
    """Have a writable overlay of the layers on /ov, a read-only one of the same on /ro."""
    for name in ("upper", "work"):
        bundle.layer(name)
    bundle.overlay(f"lowerdir={':'.join(lowers)}", "upperdir=upper", "workdir=work")
    bundle.overlay(f"lowerdir={':'.join(lowers)}", destination="/ro")
    bundle.spec["process"]["args"][2] = "echo started"


def plan(host: Host, bundle: Bundle, mode: str, script: str = "") -> Result:
    """Make the trials, in a mount namespace that `script` has changed."""
    words = [str(OCISHIM), "plan", "--overlay", mode, "--runtime", "runc", "--format", "json", bundle.path]
    prefix = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f'set -e; {script}\nexec "$@"',
        "sh",
    ]
    return host.run("runc", [*(prefix if script else []), *words])


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_a_trial_leaves_a_layer_as_it_was(host: Host, bundle: Bundle, mode: str, fill: Fill) -> None:
    fill(bundle.layer("lower"))
    overlays(bundle, "lower")
    before = snapshot(bundle.layer("lower"))
    begin = time.monotonic()

    planned = plan(host, bundle, mode)

    assert (planned.status, planned.err) == (0, "")
    assert time.monotonic() - begin < 8
    assert snapshot(bundle.layer("lower")) == before
    assert os.listdir(bundle.directory / "work") == []
    assert os.listdir(bundle.directory / "upper") == []


@pytest.fixture
def flags(tmp_path: pathlib.Path) -> Iterator[Callable[[str, pathlib.Path], None]]:
    """Change flags of files; they are taken back at the end."""
    changed: list[tuple[str, pathlib.Path]] = []

    def change(flag: str, path: pathlib.Path) -> None:
        done = subprocess.run(["chattr", f"+{flag}", path], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"chattr: {done.stderr}")
        changed.append((flag, path))

    yield change
    for flag, path in reversed(changed):
        subprocess.run(["chattr", f"-{flag}", path], check=True)


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_immutable_files_of_a_layer_are_no_reason_to_refuse(
    host: Host, bundle: Bundle, mode: str, flag: str, flags: Callable[[str, pathlib.Path], None]
) -> None:
    layer = bundle.layer("lower", file="x\n")
    (layer / "d").mkdir()
    (layer / "d/one").write_text("1\n")
    overlays(bundle, "lower")
    for name in ("file", "d/one", "d"):
        flags(flag, layer / name)
    before = snapshot(layer)

    planned = plan(host, bundle, mode)

    assert (planned.status, planned.err) == (0, "")
    assert snapshot(layer) == before
    assert os.listdir(bundle.directory / "work") == []


def _image(kind: str, fill: str) -> str:
    """Give shell lines that make a file system of this kind on m, from the files in lower."""
    make = {
        "ext4": "truncate -s 16M img; mkfs.ext4 -q -d lower img; mount -o loop img m",
        "ext4, read-only": "truncate -s 16M img; mkfs.ext4 -q -d lower img; mount -o loop,ro img m",
        "xfs": "truncate -s 300M img; mkfs.xfs -q img; mount -o loop img m; cp -a lower/. m",
        "squashfs": "mksquashfs lower img -quiet -no-progress; mount -o loop img m",
        "tmpfs": "mount -t tmpfs tmpfs m; cp -a lower/. m",
        "tmpfs, noexec": "mount -t tmpfs -o noexec,nosuid,nodev tmpfs m; cp -a lower/. m",
        "overlay": "mkdir o; mount -t overlay -o lowerdir=lower:o o m",
        "bind, read-only": "mount --bind lower m; mount -o remount,bind,ro,noexec m",
    }
    return f"{make[kind]}; {fill}"


LOWERS = [
    "ext4", "ext4, read-only", "xfs", "squashfs", "tmpfs", "tmpfs, noexec", "overlay", "bind, read-only",
]  # fmt: skip


@pytest.mark.parametrize("kind", LOWERS)
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_lower_layers_of_all_kinds_are_tried_and_left(
    host: Host, bundle: Bundle, mode: str, kind: str
) -> None:
    _plain(bundle.layer("lower"))
    bundle.layer("m")
    overlays(bundle, "m")
    state = "find m -printf '%p %i %m %U %s %T@ %C@ %l\\n' -type f -exec md5sum {} + | sort"
    script = f"cd {bundle.directory}; {_image(kind, f'{state} >before')}"
    words = f'ocishim=$1; shift; $ocishim "$@" >planned || exit; {state} >after; ls -A work >left; exit 0'
    words_of = [str(OCISHIM), "plan", "--overlay", mode, "--runtime", "runc", bundle.path]
    run = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"set -e; {script}\n{words}", "sh"]

    result = host.run("runc", [*run, *words_of])

    assert (result.status, result.err) == (0, "")
    before, after, left = ((bundle.directory / name).read_text() for name in ("before", "after", "left"))
    assert before != ""
    assert (after, left) == (before, "")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "tmpfs, noexec"])
@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_upper_layers_of_all_kinds_are_tried_and_left(
    host: Host, bundle: Bundle, mode: str, kind: str
) -> None:
    _plain(bundle.layer("lower"))
    bundle.layer("m")
    bundle.overlay("lowerdir=lower", "upperdir=m/u", "workdir=m/w")
    script = f"cd {bundle.directory}; {_image(kind, 'mkdir -p m/u m/w; echo x >m/u/old')}"
    left = f"cd {bundle.directory}; find m/u m/w | sort >left"
    words = [str(OCISHIM), "plan", "--overlay", mode, "--runtime", "runc", bundle.path]
    run = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f'set -e; {script}\n"$@" >/dev/null; {left}',
    ]

    result = host.run("runc", [*run, "sh", *words])

    assert (result.status, result.err) == (0, "")
    assert (bundle.directory / "left").read_text().split() == ["m/u", "m/u/old", "m/w"]


def test_what_a_killed_one_left_is_removed(host: Host, bundle: Bundle) -> None:
    _plain(bundle.layer("lower"))
    overlays(bundle, "lower")
    left = bundle.directory / "work" / rehearsal.SCRATCH
    (left / "work/work/a/b/c").mkdir(parents=True)
    (left / "upper/d").mkdir(parents=True)
    os.mknod(left / "upper/gone", 0o20000, 0)
    os.mkfifo(left / "upper/d/fifo")
    (left / "lower").write_text("a file")
    for path in (left / "work/work", left / "upper/d", left):
        path.chmod(0)

    planned = plan(host, bundle, "kernel")

    assert (planned.status, planned.err) == (0, "")
    assert os.listdir(bundle.directory / "work") == []


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_upper_and_work_may_lie_inside_a_lower_layer(host: Host, bundle: Bundle, mode: str) -> None:
    layer = bundle.layer("lower")
    _plain(layer)
    for name in ("upper", "work"):
        (layer / name).mkdir()
    bundle.overlay("lowerdir=lower", "upperdir=lower/upper", "workdir=lower/work")
    before = {path: found for path, found in snapshot(layer).items() if not path.endswith("/work")}

    planned = plan(host, bundle, mode)

    after = {path: found for path, found in snapshot(layer).items() if not path.endswith("/work")}
    assert (planned.status, planned.err) == (0, "")
    assert after == before


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_layers_that_were_made_with_metacopy_are_read_right(host: Host, bundle: Bundle, mode: str) -> None:
    """A file there has a size and no content of its own."""
    for name in ("low", "top", "tw", "m"):
        bundle.layer(name)
    (bundle.directory / "low/big").write_text("content\n" * 1000)
    bundle.overlay("lowerdir=top:low", "upperdir=upper", "workdir=work", "metacopy=on", "redirect_dir=on")
    for name in ("upper", "work"):
        bundle.layer(name)
    options = "lowerdir=low,upperdir=top,workdir=tw,metacopy=on,redirect_dir=on"
    script = f"cd {bundle.directory}; mount -t overlay -o {options} o m; chmod 600 m/big; umount m"
    host.run("runc", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script])

    planned = plan(host, bundle, mode)

    if mode == "kernel":
        assert (planned.status, planned.err) == (0, "")
    else:
        assert (planned.status, "OVL-OPT-20" in planned.err) == (1, True)


def test_a_workdir_without_room_is_refused(host: Host, bundle: Bundle) -> None:
    _plain(bundle.layer("lower"))
    bundle.layer("m")
    bundle.overlay("lowerdir=lower", "upperdir=m/u", "workdir=m/w")
    at = bundle.directory
    script = f"cd {at}; mount -t tmpfs -o size=64k,nr_inodes=5 tmpfs m; mkdir m/u m/w; touch m/1 m/2"

    planned = plan(host, bundle, "auto", script)

    assert (planned.status, planned.out) == (1, "")
    assert planned.err.startswith(f"ocishim: mounts[1]: workdir={at}/m/w has ")
    assert planned.err.endswith("; ocishim explain OVL-UPP-12\n")


#: ocishim that waits less for a file system.
_IMPATIENT = f"""
import sys
sys.path.insert(0, {str(STAGE.parent.parent)!r})
from ocishim import patience
patience.LIMIT = 0.7
from ocishim.shim import main
sys.exit(main())
"""
IMPATIENT = (str(OCISHIM.parent / "python3"), "-IS", "-c", _IMPATIENT)
#: Mounts FUSE on a directory, answers nothing, and runs a command.
_DEAF = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
device = os.open("/dev/fuse", os.O_RDWR)
data = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"deaf", sys.argv[1].encode(), b"fuse.deaf", 0, data.encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
_HANGS = (
    "no answer within 0.7 s: its file system hangs; look after its server, if it has one; umount -f ends the "
    "waiting; ocishim explain OVL-LOW-28\n"
)


@pytest.mark.parametrize("mode", ["auto", "kernel", "fuse"])
@pytest.mark.parametrize("role", ["lowerdir", "upperdir", "workdir", "datadir"])
def test_a_layer_whose_server_hangs_is_refused_in_time(
    host: Host, bundle: Bundle, mode: str, role: str
) -> None:
    names = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work", "datadir": "data", role: "deaf"}
    for name in names.values():
        bundle.layer(name)
    bundle.overlay(
        f"lowerdir=top:{names['lowerdir']}::{names['datadir']}",
        f"upperdir={names['upperdir']}",
        f"workdir={names['workdir']}",
    )
    bundle.layer("top")
    deaf = ["unshare", "--mount", "--propagation", "private", "python3", "-c", _DEAF]
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]
    begin = time.monotonic()

    result = host.run("runc", [*deaf, f"{bundle.directory}/deaf", *IMPATIENT, *words], timeout=20)

    assert result == Result(1, "", f"ocishim: mounts[1]: {role}=deaf: {_HANGS}")
    assert time.monotonic() - begin < 10
    assert host.wait_until_nothing_is_left() == []


@pytest.mark.parametrize("mode", ["auto", "kernel"])
def test_a_layer_that_hangs_in_its_trial_is_refused_in_time(host: Host, bundle: Bundle, mode: str) -> None:
    """By strace: one file of the layer opens too late."""
    bundle.layer("lower", file="x\n")
    overlays(bundle, "lower")
    strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(host.directory / "trace"),
        "-P",
        f"{bundle.directory}/lower/file",
    ]
    strace += ["-e", "trace=openat", "-e", "inject=openat:delay_enter=5s"]
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]

    result = host.run("runc", [*strace, *IMPATIENT, *words], timeout=60)

    at = f"mounts[1]: lowerdir={bundle.directory}/lower"
    said = [line for line in result.err.splitlines() if not line.startswith("strace: ")]
    assert (result.status, result.out, len(said)) == (1, "", 1)
    assert said[0].startswith(f"ocishim: {at}: no answer within 0.7 s: ")
    assert said[0].endswith("; ocishim explain OVL-LOW-28")
    assert os.listdir(bundle.directory / "work") == []
    assert host.wait_until_nothing_is_left() == []


def test_the_limit_is_what_is_written() -> None:
    from ocishim import patience

    assert patience.LIMIT == 10.0
