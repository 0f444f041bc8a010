"""Which mounts the host, the container and ocishim's own namespace see of each other."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from harness import OCISHIM, STAGE, Bundle, Host, Result
from kernel import rungs

MODES = ["kernel", "fuse"]


class Shared:
    """A host whose mounts are all shared, as systemd makes them: a mount namespace and its peer."""

    def __init__(self, pid: int, peer: int) -> None:
        self.pid = pid
        self.peer = peer

    @property
    def enter(self) -> list[str]:
        """The words by which a command runs in there."""
        return ["nsenter", "--target", str(self.pid), "--mount"]

    def run(self, *words: object) -> None:
        """Run a command in there."""
        subprocess.run([*self.enter, *map(str, words)], check=True)

    def mounts(self) -> tuple[list[str], list[str]]:
        """Give what is mounted in both."""
        return _mountinfo(self.pid), _mountinfo(self.peer)


def _mountinfo(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


@contextlib.contextmanager
def _sleeping(*prefix: str) -> Iterator[int]:
    command = [*prefix, "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def shared() -> Iterator[Shared]:
    with _sleeping("unshare", "--mount", "--propagation", "shared") as pid:
        enter = ["nsenter", "--target", str(pid), "--mount"]
        with _sleeping(*enter, "unshare", "--mount", "--propagation", "unchanged") as peer:
            yield Shared(pid, peer)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _words(host: Host, bundle: Bundle, mode: str, *more: str) -> list[str]:
    fixed = [str(OCISHIM), "--overlay", mode, "--runtime", "runc", "--root", host.root("runc"), "run", *more]
    return [*fixed, "--bundle", bundle.path]


def test_the_host_never_sees_a_mount_of_ocishim(
    host: Host, bundle: Bundle, shared: Shared, mode: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id("runc")
    before = shared.mounts()
    argv = [*shared.enter, *_words(host, bundle, mode, "--detach"), name]

    assert host.run("runc", argv, detached=True) == Result(0, "", "")
    assert host.bare("runc", "exec", name, "grep", "-c", " /ov ", "/proc/self/mountinfo").out == "1\n"
    assert shared.mounts() == before
    assert host.bare("runc", "delete", "--force", name).status == 0
    assert shared.mounts() == before


def test_nor_while_it_works(host: Host, bundle: Bundle, shared: Shared, mode: str) -> None:
    """The runtime is a program that shows what the host has then."""
    bundle.overlay()
    runtime = host.directory / "runc"
    runtime.write_text(f"#!/bin/busybox sh\ncat /proc/{shared.pid}/mountinfo /proc/{shared.peer}/mountinfo\n")
    runtime.chmod(0o755)
    words = ["--overlay", mode, "--runtime", str(runtime), "run", "--bundle", bundle.path, host.id("runc")]

    result = host.run("runc", [*shared.enter, str(OCISHIM), *words])

    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == [line for mounts in shared.mounts() for line in mounts]


def test_what_the_host_mounts_later_arrives(
    host: Host, bundle: Bundle, shared: Shared, mode: str, tmp_path: pathlib.Path
) -> None:
    bundle.overlay()
    later = bundle.layer("data/later")
    entry = {"type": "bind", "source": "data", "destination": "/data", "options": ["rbind", "rslave"]}
    bundle.spec["mounts"].append(entry)
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id("runc")
    argv = [*shared.enter, *_words(host, bundle, mode, "--detach"), name]
    assert host.run("runc", argv, detached=True).status == 0

    shared.run("mount", "-t", "tmpfs", "tmpfs", later)
    shared.run("touch", later / "arrived")

    assert host.bare("runc", "exec", name, "ls", "/data/later") == Result(0, "arrived\n", "")


@pytest.mark.parametrize("around", [STAGE.parent.parent, pathlib.Path("/")])
def test_a_container_that_binds_the_directories_around_the_stage_sees_the_hosts(
    host: Host, bundle: Bundle, mode: str, around: pathlib.Path
) -> None:
    bundle.overlay()
    entry = {"type": "bind", "source": str(around), "destination": "/data", "options": ["bind", "ro"]}
    bundle.spec["mounts"].append(entry)
    at = pathlib.Path("/data") / STAGE.relative_to(around)
    bundle.spec["process"]["args"] = ["ls", str(at)]

    result = rungs.run(host, bundle, mode=mode)

    assert result == Result(0, "".join(f"{name}\n" for name in os.listdir(STAGE)), "")


@pytest.mark.parametrize("around", [STAGE.parent.parent, pathlib.Path("/")])
def test_with_rbind_it_has_its_own_overlays_there_and_no_more_rights(
    host: Host, bundle: Bundle, mode: str, around: pathlib.Path
) -> None:
    """No runtime leaves a mount unbindable."""
    bundle.layer("lower", file="1\n")
    options = bundle.overlay()["options"]
    options += ["ro", "nosuid"]
    entry = {"type": "bind", "source": str(around), "destination": "/data", "options": ["rbind"]}
    bundle.spec["mounts"].append(entry)
    at = pathlib.Path("/data") / STAGE.relative_to(around)
    bundle.spec["process"]["args"][2] = (
        f"ls {at} {at}/1; grep ' {at}/1 ' /proc/self/mountinfo; touch {at}/1/new"
    )

    result = rungs.run(host, bundle, mode=mode)

    *names, mount = result.out.splitlines()
    assert names == [f"{at}:", "1", "", f"{at}/1:", "file"]
    assert mount.split(" ")[5] == "ro,nosuid,relatime"
    assert (result.status, result.err) == (1, f"touch: {at}/1/new: Read-only file system\n")


@pytest.mark.parametrize("bind", ["bind", "rbind"])
def test_a_container_that_binds_its_bundle_sees_the_rewritten_config_with_rbind_only(
    host: Host, bundle: Bundle, mode: str, bind: str
) -> None:
    bundle.overlay()
    entry = {"type": "bind", "source": str(bundle.directory), "destination": "/data", "options": [bind, "ro"]}
    bundle.spec["mounts"].append(entry)
    bundle.spec["process"]["args"] = ["grep", "-c", "stage/[1]", "/data/config.json"]

    result = rungs.run(host, bundle, mode=mode)

    assert result == {"bind": Result(1, "0\n", ""), "rbind": Result(0, "1\n", "")}[bind]


@pytest.mark.parametrize(
    ("option", "rootfs"),
    [
        ("rshared", "shared"),
        ("rshared", "rshared"),
        ("rshared", "private"),
        ("rshared", "rslave"),
        ("rshared", None),
        ("shared", "rshared"),
        ("rslave", "rshared"),
        ("rprivate", "rshared"),
    ],
)
def test_a_bind_mount_is_as_shared_as_the_runtime_alone_makes_it(
    host: Host, tmp_path: pathlib.Path, shared: Shared, option: str, rootfs: str | None
) -> None:
    """Kubernetes' mountPropagation: Bidirectional is rshared: what the container mounts shows on the host."""
    seen = []
    for with_overlay in (False, True):
        bundle = Bundle(tmp_path / f"bundle{with_overlay:d}")
        source = bundle.layer("source")
        bundle.layer("source/inner")
        entry = {"type": "bind", "source": "source", "destination": "/data", "options": ["rbind", option]}
        bundle.spec["mounts"].append(entry)
        if rootfs:
            bundle.spec["linux"]["rootfsPropagation"] = rootfs
        if with_overlay:
            bundle.overlay()
        bundle.spec["process"]["args"][2] = "mount -t tmpfs mark /data/inner && cat /proc/self/mountinfo"
        shared.run("mount", "--bind", source, source)
        argv = _words(host, bundle, "kernel") if with_overlay else _bare(host, bundle)

        result = host.run("runc", [*shared.enter, *argv, host.id("runc")])

        at = [line.split(" ")[6:] for line in result.out.splitlines() if line.split(" ")[4] == "/data"]
        kinds = [field.partition(":")[0] for field in at[0][: at[0].index("-")]]
        on_host = [sum(f"{source}/inner " in line for line in mounts) for mounts in shared.mounts()]
        seen.append((result.status, result.err, kinds, on_host))

    assert seen[1] == seen[0]
    assert seen[0][0] == 0


def _bare(host: Host, bundle: Bundle) -> list[str]:
    return [host.path("runc"), "--root", host.root("runc"), "run", "--bundle", bundle.path]


def test_a_bind_that_would_share_ocishims_own_mounts_is_refused(
    host: Host, bundle: Bundle, shared: Shared, mode: str
) -> None:
    entry = {"type": "bind", "source": "/", "destination": "/data", "options": ["rbind", "rshared"]}
    bundle.spec["mounts"].append(entry)
    bundle.overlay()
    before = shared.mounts()

    result = host.run("runc", [*shared.enter, *_words(host, bundle, mode), host.id("runc")])

    assert result == Result(
        1,
        "",
        f"ocishim: mounts[1].source: / is shared with the host and holds {bundle.directory}/config.json, "
        "where ocishim mounts; bind a directory further down, or use rslave\n",
    )
    assert shared.mounts() == before


@pytest.mark.parametrize("option", ["rslave", "rshared"])
def test_propagation_of_the_overlay_itself(host: Host, bundle: Bundle, mode: str, option: str) -> None:
    options = bundle.overlay()["options"]
    options.append(option)
    bundle.spec["process"]["args"] = ["grep", " /ov ", "/proc/self/mountinfo"]

    result = rungs.run(host, bundle, mode=mode)

    fields = result.out.split(" ")[6:]
    shown = [field.partition(":")[0] for field in fields[: fields.index("-")]]
    assert (result.status, result.err) == (0, "")
    assert shown == {"rslave": [], "rshared": ["shared"]}[option]
