"""Many overlays in a container, many containers at once."""

import concurrent.futures
import json
import pathlib
import shutil

import pytest
from harness import ROOT, ROOTFS, RUNTIMES, Bundle, Host, Result, make_rootfs

from ocishim import mountinfo

EXAMPLES = sorted(path.parent for path in (ROOT / "examples/bundles").glob("*/config.json"))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("backend", ["kernel", "fuse"])
def test_overlays_stand_in_the_order_of_the_spec_among_other_mounts(
    host: Host, bundle: Bundle, runtime: str, backend: str
) -> None:
    for number in range(3):
        bundle.layer(f"lower{number}", name=f"{number}\n")
    bundle.layer("plain", name="plain\n")
    bundle.overlay(destination="/ov", lower="lower0", upper="upper0")
    bundle.layer("lower0/inner")
    bundle.spec["mounts"].append(
        {"destination": "/ov/inner", "type": "bind", "source": "plain", "options": ["rbind"]}
    )
    bundle.overlay("lowerdir=lower1", destination="/ov2")
    bundle.overlay(destination="/ov3", lower="lower2", upper="upper2")
    bundle.spec["process"]["args"][2] = "cat /ov/name /ov/inner/name /ov2/name /ov3/name"

    result = host.ocishim(runtime, "--overlay", backend, "run", bundle.path)

    assert result == Result(0, "0\nplain\n1\n2\n", "")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_sixty_four_overlays_in_one_container(
    host: Host, bundle: Bundle, runtime: str, tmp_path: pathlib.Path
) -> None:
    bundle.spec["root"] = {"path": str(make_rootfs(tmp_path / "rootfs"))}
    bundle.spec["mounts"] = bundle.spec["mounts"][:1]
    for number in range(64):
        bundle.layer(f"lower{number}", name=f"{number}\n")
        bundle.overlay(destination=f"/m{number}", lower=f"lower{number}", upper=f"upper{number}")
    bundle.spec["process"]["args"][2] = "for n in $(seq 0 63); do cat /m$n/name; echo $n >/m$n/new; done"

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, "".join(f"{number}\n" for number in range(64)), "")
    assert [(bundle.directory / f"upper{number}/new").read_text() for number in range(64)] == [
        f"{number}\n" for number in range(64)
    ]


@pytest.mark.parametrize("backend", ["kernel", "fuse"])
def test_a_hundred_containers_at_once(host: Host, tmp_path: pathlib.Path, backend: str) -> None:
    bundles = []
    for number in range(100):
        bundle = Bundle(tmp_path / f"b{number}", "cat /ov/name; echo new >/ov/new")
        bundle.layer("lower", name=f"{number}\n")
        bundle.overlay()
        bundles.append(bundle)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(lambda bundle: host.ocishim("runc", "--overlay", backend, "run", bundle.path), bundles)
        )

    assert results == [Result(0, f"{number}\n", "") for number in range(100)]
    assert all((bundle.directory / "upper/new").read_text() == "new\n" for bundle in bundles)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_containers_from_one_bundle(host: Host, bundle: Bundle, runtime: str) -> None:
    bundle.layer("lower", name="x\n")
    bundle.overlay("lowerdir=lower")
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    names = [host.id(runtime), host.id(runtime)]
    path = bundle.path

    for name in names:
        words = ("run", "--detach", "--bundle", path, name)
        assert host.ocishim(runtime, *words, detached=True) == Result(0, "", "")
    host.ocishim(runtime, "delete", "--force", names[0])

    assert host.ocishim(runtime, "exec", names[1], "cat", "/ov/name") == Result(0, "x\n", "")


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_mountinfo_inside_tells_of_an_overlay_as_without_ocishim(
    host: Host, bundle: Bundle, runtime: str
) -> None:
    for name in ("a", "b", "upper", "work"):
        bundle.layer(name)
    directory = bundle.directory
    bundle.overlay(
        f"lowerdir={directory}/a:{directory}/b", f"upperdir={directory}/upper", f"workdir={directory}/work",
        "nosuid", "nodev", "noatime", "xino=off",
    )  # fmt: skip
    bundle.spec["process"]["args"] = ["cat", "/proc/self/mountinfo"]
    path = bundle.path

    def overlay_line(out: str) -> tuple[str, ...]:
        [line] = [line for line in out.splitlines() if " /ov " in line]
        left, _, right = line.partition(" - ")
        super_options = right.split()[2].replace("lowerdir+=", "lowerdir=").split(",")
        lowers = ":".join(option[9:] for option in super_options if option.startswith("lowerdir="))
        others = sorted(option for option in super_options if not option.startswith(("lowerdir=", "uuid=")))
        return (*left.split()[3:6], *right.split()[:2], lowers, *others)

    bare = host.bare(runtime, "run", "--bundle", path, host.id(runtime))
    through = host.ocishim(runtime, "run", "--bundle", path, host.id(runtime))

    assert overlay_line(through.out) == overlay_line(bare.out)


def copy_of(path: pathlib.Path, directory: pathlib.Path) -> Bundle:
    """Copy an example without what earlier runs left in it."""
    copy = Bundle(directory / path.name)
    copy.spec = json.loads((path / "config.json").read_text())
    copy.spec["root"]["path"] = str(ROOTFS)
    for entry in path.iterdir():
        if entry.is_dir() and not entry.name.startswith(("upper", "work")):
            shutil.copytree(entry, copy.directory / entry.name, symlinks=True)
    layout = path / "layout"
    for name in layout.read_text().split() if layout.exists() else ():
        copy.layer(name)
    return copy


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples(host: Host, tmp_path: pathlib.Path, runtime: str, path: pathlib.Path) -> None:
    example = copy_of(path, tmp_path)

    result = host.ocishim(runtime, "run", example.path)

    assert result == Result(0, (path / "expected").read_text(), "")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_overlays_of_examples_are_mounts_of_their_own_inside(
    host: Host, tmp_path: pathlib.Path, runtime: str, path: pathlib.Path
) -> None:
    example = copy_of(path, tmp_path)
    example.spec["process"]["args"] = ["cat", "/proc/self/mountinfo"]
    destinations = {entry["destination"] for entry in example.spec["mounts"] if entry["type"] == "overlay"}

    result = host.ocishim(runtime, "run", example.path)

    seen = {mount.mount_point: mount.fstype for mount in mountinfo.parse(result.out)}
    expected = "9p" if runtime == "runsc" else "overlay"  # what gVisor shows for any directory of the host
    assert {destination: seen.get(destination) for destination in destinations} == dict.fromkeys(
        destinations, expected
    )
