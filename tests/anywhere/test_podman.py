"""Overlays of podman (-v DIR:DIR:O): a user's, and those of root with a user namespace."""

import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest
from anywhere.people import OwnBundle, Person, lend
from harness import OCISHIM, ROOTFS, Result

#: This machine's root may not raise limits, and has no systemd.
_PODMAN = ("--events-backend=file", "--cgroup-manager=cgroupfs", "--storage-driver=vfs")
_RUN = ("run", "--rm", "--network=none", "--ulimit=nofile=1024:4096", "--ulimit=nproc=1000:1000")
_WORK = "cat /ov/f; rm -r /ov/d && mkdir /ov/d && mv /ov/f /ov/d/moved && find /ov | sort"
_WORKED = Result(0, "lower\n/ov\n/ov/d\n/ov/d/moved\n", "")


@pytest.fixture
def who() -> str:
    return "user"


@pytest.fixture
def person(directory: pathlib.Path, who: str) -> Iterator[Person]:
    """Be the user; podman without root leaves a process that holds its namespaces."""
    for person in lend(directory, who):
        yield person
        for file in directory.rglob("pause.pid"):
            os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.fixture
def root(directory: pathlib.Path) -> Iterator[Person]:
    yield from lend(directory, "root")


def podman(person: Person, runtime: str, *words: str) -> Result:
    """Run podman with a storage of its own, as the person."""
    own = [f"--{name}={person.directory}/{name}" for name in ("root", "runroot", "tmpdir")]
    run = person.directory / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    person.own(run)
    argv = ["podman", *own, *_PODMAN, "--runtime", str(OCISHIM.with_name(f"ocishim-{runtime}")), *words]
    return person.run(runtime, argv, env={"XDG_RUNTIME_DIR": str(run)})


def image(person: Person, runtime: str) -> str:
    """Import the tests' root file system."""
    archive = person.directory / "image.tar"
    subprocess.run(["tar", "-C", ROOTFS, "-cf", archive, "."], check=True)
    assert podman(person, runtime, "import", "--quiet", str(archive), "localhost/test:1").status == 0
    return "localhost/test:1"


def test_a_users_volume(person: Person, runtime: str) -> None:
    layers = OwnBundle(person, person.directory / "layers")
    layers.layer("lower", f="lower\n")
    layers.layer("lower/d", g="g")

    result = podman(
        person,
        runtime,
        *_RUN,
        f"-v={layers.directory}/lower:/ov:O",
        image(person, runtime),
        "sh",
        "-c",
        _WORK,
    )

    assert result == _WORKED
    assert (layers.directory / "lower/d/g").read_text() == "g"


def test_roots_volume_in_a_user_namespace(root: Person, runtime: str) -> None:
    """runc and crun answer EACCES to it, runsc shows nothing."""
    layers = OwnBundle(root, root.directory / "layers")
    layers.layer("lower", f="lower\n")
    layers.layer("lower/d", g="g")
    for path in (layers.directory / "lower", *(layers.directory / "lower").rglob("*")):
        root.own(path, 300_000)
    maps = ("--uidmap=0:300000:65536", "--gidmap=0:300000:65536")

    result = podman(
        root,
        runtime,
        *_RUN,
        *maps,
        f"-v={layers.directory}/lower:/ov:O",
        image(root, runtime),
        "sh",
        "-c",
        _WORK,
    )

    assert result == _WORKED
    assert (layers.directory / "lower/d/g").read_text() == "g"
