"""Trials of overlays on real file systems: what they find, and that they leave everything as it was."""

import os
import pathlib
import stat
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from harness import OCISHIM, Bundle, Host, Result
from kernel import fills
from kernel.fills import FILLS, Fill

from ocishim.probe import room


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
        subprocess.run(["chattr", f"+{flag}", path], check=True)
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
    fills.plain(bundle.layer("lower"))
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
    fills.plain(bundle.layer("lower"))
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
    fills.plain(bundle.layer("lower"))
    overlays(bundle, "lower")
    left = bundle.directory / "work" / room.SCRATCH
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
    fills.plain(layer)
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
    fills.plain(bundle.layer("lower"))
    bundle.layer("m")
    bundle.overlay("lowerdir=lower", "upperdir=m/u", "workdir=m/w")
    at = bundle.directory
    script = f"cd {at}; mount -t tmpfs -o size=64k,nr_inodes=5 tmpfs m; mkdir m/u m/w; touch m/1 m/2"

    planned = plan(host, bundle, "auto", script)

    assert (planned.status, planned.out) == (1, "")
    assert planned.err.startswith(f"ocishim: mounts[1]: workdir={at}/m/w has ")
    assert planned.err.endswith("; ocishim explain OVL-UPP-12\n")
