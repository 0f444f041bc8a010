"""Overlays of idmapped layers under the real runtimes: whose files are whose, inside and on disk."""

import os
import pathlib
import struct
import subprocess
from collections.abc import Iterator

import pytest
from harness import RUNTIMES, Bundle, Host, Result

MAPPING = list[tuple[int, int, int]]
#: Owner and group as `stat -c %u:%g` gives them.
Owners = dict[str, str]
#: File systems to have the layers on, and what makes them; none for the tests' own and for tmpfs.
DISKS = {
    "ext4": ("mkfs.ext4", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


def mappings(*ranges: tuple[int, int, int]) -> list[dict[str, int]]:
    """Give ranges in the words of the spec: id on disk, id seen, how many."""
    return [{"containerID": disk, "hostID": shown, "size": size} for disk, shown, size in ranges]


def shift(entry: dict[str, object], *ranges: tuple[int, int, int]) -> None:
    """Give an entry of mounts[] the same ranges for users and groups."""
    entry["uidMappings"] = entry["gidMappings"] = mappings(*ranges)


def add_user_namespace(bundle: Bundle) -> None:
    """Let the container's ids be those from 100000 on."""
    linux = bundle.spec["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = mappings((0, 100000, 65536))


def fill(bundle: Bundle, owner: int) -> dict[str, object]:
    """Add an overlay whose layers belong to an owner."""
    bundle.layer("lower", file="lower\n", gone="lower\n")
    bundle.layer("lower/directory/inner", deep="deep\n")
    entry = bundle.overlay()
    for name in ("lower", "upper", "work-upper"):
        give(bundle.directory / name, owner)
    open_to_others(bundle)
    return entry


def give(directory: pathlib.Path, owner: int) -> None:
    """Give a tree to an owner."""
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner, owner)


def open_to_others(bundle: Bundle) -> None:
    """Let the mapped root reach the bundle: pytest's directories are 0700."""
    for path in (bundle.directory, *bundle.directory.parents[:3]):
        if path.stat().st_mode & 0o055 != 0o055 and path != pathlib.Path("/tmp"):
            path.chmod(0o755)


def owners(directory: pathlib.Path) -> Owners:
    """Give the owners in a tree on disk; whiteouts and all."""
    return {
        str(path.relative_to(directory)): f"{path.lstat().st_uid}:{path.lstat().st_gid}"
        for path in (directory, *directory.rglob("*"))
    }


#: Reading, creating, copying up, renaming, deleting, an opaque directory; prints who owns what.
WORK = """cd /ov; stat -c '%n %u:%g' . file directory/inner/deep
echo new >new; echo more >>file; mkdir made; mv made moved; rm gone; rm -r directory; mkdir directory
chown 3:4 new; chmod 600 file; ln -s file link
stat -c '%n %u:%g' new file moved directory; echo * ; cat file"""
SAID = """. 0:0
file 0:0
directory/inner/deep 0:0
new 3:4
file 0:0
moved 0:0
directory 0:0
directory file link moved new
lower
more
"""


def on_disk(first: int) -> Owners:
    """Give the owners in upperdir after WORK, where the container's ids begin with this one on disk."""
    own = f"{first}:{first}"
    its = dict.fromkeys((".", "directory", "file", "link", "moved"), own)
    # A whiteout belongs to whoever mounts.
    return its | {"new": f"{first + 3}:{first + 4}", "gone": own}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_tree_of_a_host_user_is_the_containers_own(host: Host, bundle: Bundle, runtime: str) -> None:
    shift(fill(bundle, 1000), (1000, 0, 10))
    bundle.spec["process"]["args"][2] = WORK

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, SAID, "")
    assert owners(bundle.directory / "upper") == on_disk(1000)
    assert set(owners(bundle.directory / "lower").values()) == {"1000:1000"}
    assert host.left() == []


@pytest.mark.parametrize("option", ["idmap", "ridmap", ""])
def test_roots_tree_is_the_mapped_roots(host: Host, bundle: Bundle, runtime: str, option: str) -> None:
    entry = fill(bundle, 0)
    add_user_namespace(bundle)
    if option:
        entry["options"] += [option]  # type: ignore[operator]  # a list
    else:
        shift(entry, (0, 100000, 65536))
    bundle.spec["process"]["args"][2] = WORK

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, SAID, "")
    assert owners(bundle.directory / "upper") == on_disk(0)


def test_a_tree_of_a_host_user_is_the_mapped_roots(host: Host, bundle: Bundle, runtime: str) -> None:
    shift(fill(bundle, 1000), (1000, 100000, 10))
    add_user_namespace(bundle)
    bundle.spec["process"]["args"][2] = WORK

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, SAID, "")
    assert owners(bundle.directory / "upper") == on_disk(1000)


def test_two_ranges_and_other_groups(host: Host, bundle: Bundle, runtime: str) -> None:
    entry = fill(bundle, 1000)
    entry["uidMappings"] = mappings((1000, 0, 1), (5000, 10, 5))
    entry["gidMappings"] = mappings((2000, 10, 5), (1000, 0, 1))
    os.chown(bundle.directory / "lower/file", 5001, 2002)
    bundle.spec["process"]["args"][2] = (
        "cd /ov; stat -c %u:%g . file; echo >>file; echo >x; chown 14:14 x; stat -c %u:%g file x"
    )

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, "0:0\n11:12\n11:12\n14:14\n", "")
    assert owners(bundle.directory / "upper") == {".": "1000:1000", "file": "5001:2002", "x": "5004:2004"}


def test_a_user_of_the_container_writes_as_itself(host: Host, bundle: Bundle, runtime: str) -> None:
    shift(fill(bundle, 0), (0, 100000, 65536))
    add_user_namespace(bundle)
    bundle.layer("lower/home")
    os.chown(bundle.directory / "lower/home", 33, 33)
    bundle.spec["process"]["user"] = {"uid": 33, "gid": 33}
    bundle.spec["process"]["args"][2] = "cd /ov/home; echo x >own; stat -c %u:%g . own"

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, "33:33\n33:33\n", "")
    assert owners(bundle.directory / "upper") == {".": "0:0", "home": "33:33", "home/own": "33:33"}


@pytest.mark.parametrize("kind", [*DISKS, "tmpfs"])
def test_layers_on_a_file_system(host: Host, bundle: Bundle, disk: pathlib.Path, kind: str) -> None:
    for name in ("lower", "upper", "work"):
        (disk / name).mkdir()
    (disk / "lower/directory/inner").mkdir(parents=True)
    for name in ("file", "gone", "directory/inner/deep"):
        (disk / "lower" / name).write_text("lower\n")
    give(disk, 1000)
    shift(
        bundle.overlay(f"lowerdir={disk}/lower", f"upperdir={disk}/upper", f"workdir={disk}/work"),
        (1000, 0, 10),
    )
    bundle.spec["process"]["args"][2] = WORK

    result = host.ocishim("runc", "run", bundle.path)

    assert result == Result(0, SAID, "")
    assert owners(disk / "upper") == on_disk(1000)


@pytest.fixture
def disk(tmp_path: pathlib.Path, kind: str) -> Iterator[pathlib.Path]:
    """Mount a new file system."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    if kind == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "t", place], check=True)
    else:
        subprocess.run(["truncate", "-s", "320M", image], check=True)
        program, *words = DISKS[kind]
        subprocess.run([f"/usr/sbin/{program}", *words, image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_upperdir_and_workdir_below_a_directory_that_nobody_else_may_enter(
    host: Host, bundle: Bundle, runtime: str
) -> None:
    shift(fill(bundle, 1000), (1000, 0, 10))
    bundle.directory.chmod(0o700)
    bundle.spec["process"]["args"][2] = WORK

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, SAID, "")
    assert owners(bundle.directory / "upper") == on_disk(1000)


def test_a_read_only_overlay_of_one_layer_and_of_many(host: Host, bundle: Bundle, runtime: str) -> None:
    for number in range(60):
        bundle.layer(f"lower{number}", **{f"file{number}": ""})
        give(bundle.directory / f"lower{number}", 1000)
    shift(bundle.overlay("lowerdir=lower0"), (1000, 0, 1))
    many = ":".join(f"lower{number}" for number in range(60))
    shift(bundle.overlay(f"lowerdir={many}", "ro", destination="/ov2"), (1000, 7, 1))
    bundle.spec["process"]["args"][2] = (
        "stat -c %u:%g /ov/file0; stat -c %u:%g /ov2/* | sort | uniq -c; echo >/ov/x || echo >/ov2/x"
    )

    result = host.ocishim(runtime, "run", bundle.path)

    assert (result.status, result.out) == (1, "0:0\n     60 7:7\n")
    assert result.err.count("Read-only file system") == 2


@pytest.mark.parametrize(
    ("uid", "expected"), [(3, Result(0, "lower\n", "")), (4, Result(1, "", "refused\n"))]
)
def test_the_ids_of_an_acl_are_shifted(host: Host, bundle: Bundle, uid: int, expected: Result) -> None:
    shift(fill(bundle, 1000), (1000, 0, 10))
    entries = ((1, 6, -1), (2, 4, 1003), (4, 0, -1), (0x10, 4, -1), (0x20, 0, -1))  # acl(5)
    acl = b"".join(struct.pack("<HHI", tag, mode, id_ & 0xFFFFFFFF) for tag, mode, id_ in entries)
    os.setxattr(bundle.directory / "lower/file", "system.posix_acl_access", struct.pack("<I", 2) + acl)
    bundle.spec["process"]["user"] = {"uid": uid, "gid": uid}
    bundle.spec["process"]["capabilities"] = {}
    bundle.spec["process"]["args"][2] = "cat /ov/file 2>/dev/null || { echo refused >&2; exit 1; }"

    assert expected == host.ocishim("runc", "run", bundle.path)


def test_upperdir_in_use_by_another_container_is_refused_by_its_name(host: Host, bundle: Bundle) -> None:
    shift(fill(bundle, 1000), (1000, 0, 10))
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id("runc")
    first = host.ocishim("runc", "run", "--detach", "--bundle", bundle.path, name, detached=True)

    again = host.ocishim("runc", "run", "--bundle", bundle.path, host.id("runc"))

    assert (first, again.status, again.out) == (Result(0, "", ""), 1, "")
    assert f"is in use by container {name}, pid" in again.err


def test_a_backend_that_cannot_map_is_refused(host: Host, bundle: Bundle) -> None:
    shift(fill(bundle, 1000), (1000, 0, 10))

    result = host.ocishim("runc", "run", "--overlay", "fuse", bundle.path)

    assert result == Result(
        1, "", "ocishim: mounts[1]: an id mapping, which fuse-overlayfs cannot do; take --overlay kernel, or "
        "remove it; ocishim explain OVL-OPT-20\n",
    )  # fmt: skip
