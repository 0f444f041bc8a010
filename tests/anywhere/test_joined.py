"""A user namespace by its path: what is no such thing is refused by name, and the spec is made to fit it."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from anywhere.people import OwnBundle, Person
from harness import Result


@pytest.fixture
def who() -> str:
    return "user"


@pytest.fixture
def held(person: Person) -> Iterator[int]:
    """Let a process of the user hold a user namespace of one id; give its pid."""
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen([*person.become, *command], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


def join(bundle: OwnBundle, path: str) -> None:
    bundle.overlay()
    bundle.spec["linux"]["namespaces"].append({"type": "user", "path": path})


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_terminal_gets_no_group_that_it_does_not_map(
    person: Person, bundle: OwnBundle, held: int, runtime: str
) -> None:
    join(bundle, f"/proc/{held}/ns/user")
    options = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    bundle.spec["mounts"] += [
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options},
    ]
    bundle.work("ls -d /dev/pts")

    assert person.container(runtime, bundle) == Result(0, "/dev/pts\n", "")


REFUSED = {
    "/nowhere": ": does not exist",
    "/etc/passwd": " is no user namespace",
    "/proc/self/ns/net": " is no user namespace",
    "/proc/self/ns/user": " is the one that this process is in",
    "/proc/1/ns/user": ": EACCES, access refused",
    "/a\0b": ": no file can have this name",
    "FIFO": " is no user namespace",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_joined_is_named(person: Person, bundle: OwnBundle, path: str) -> None:
    where = path
    if path == "FIFO":
        where = str(bundle.directory / "fifo")
        os.mkfifo(where)
        person.own(pathlib.Path(where))
    join(bundle, where)

    result = person.container("runc", bundle)

    shown = where.replace("\0", "\\x00")
    why = f"{shown}{REFUSED[path]}; name a user namespace that is yours"
    assert result == Result(1, "", f"ocishim: linux.namespaces: {why}\n")
