"""What a user is told who can have no user namespace with the granted ids; no process is left of that."""

from collections.abc import Callable

import pytest
from anywhere.people import OwnBundle, Person
from harness import OCISHIM, Result


@pytest.fixture
def who() -> str:
    return "user"


def _without_proc(person: Person) -> None:
    person.setup = "umount -l /proc && "


def _with_a_group_of_others(person: Person) -> None:
    person.become[2] = "--regid=100"


def _with_newuidmap(script: str) -> Callable[[Person], None]:
    def prepare(person: Person) -> None:
        person.setup = (
            "mount -t tmpfs -o mode=755 tmpfs /mnt && "
            f"printf '#!/bin/sh\\n{script}\\n' >/mnt/n && chmod 4755 /mnt/n && "
            "mount --bind /mnt/n /usr/bin/newuidmap && umount -l /mnt && "
        )

    return prepare


OVL_UNS_11 = "compare the maps with /etc/subuid and /etc/subgid; ocishim explain OVL-UNS-11"
REFUSED: dict[str, tuple[Callable[[Person], None], str]] = {
    "without /proc": (
        _without_proc,
        "/proc: no proc file system of this PID namespace is mounted there; mount -t proc proc /proc",
    ),
    "newuidmap is killed": (
        _with_newuidmap("kill -9 $$"),
        "user namespace: newuidmap: killed by signal 9; dmesg may say more",
    ),
    "newuidmap refuses": (
        _with_newuidmap("echo newuidmap: no >&2; exit 3"),
        f"user namespace: newuidmap: no; {OVL_UNS_11}",
    ),
    "newuidmap fails": (_with_newuidmap("exit 3"), f"user namespace: exit status 1; {OVL_UNS_11}"),
    "no further process": (
        _with_newuidmap("echo newuidmap: EAGAIN, resource temporarily unavailable >&2; exit 1"),
        "user namespace: newuidmap: EAGAIN, resource temporarily unavailable; raise pids.max of the control "
        "group, or the user's limit of processes (ulimit -u)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_said_why(person: Person, bundle: OwnBundle, name: str) -> None:
    prepare, words = REFUSED[name]
    prepare(person)
    bundle.overlay()

    assert person.container("runc", bundle) == Result(1, "", f"ocishim: {words}\n")


def test_another_primary_group(person: Person, bundle: OwnBundle) -> None:
    """As newgrp and sg give one: newuidmap compares it with that of the user's entry."""
    _with_a_group_of_others(person)
    bundle.overlay()

    result = person.container("runc", bundle)

    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith("ocishim: user namespace: newuidmap: Target process ")
    assert result.err.endswith("; start it with the user's own group, not from newgrp or sg\n")


@pytest.mark.parametrize("call", ["unshare", "wait4"])
def test_killed_beside_the_child_that_maps_the_ids(person: Person, bundle: OwnBundle, call: str) -> None:
    """The child ends with its parent; that no process is left is what the fixture looks at."""
    bundle.overlay()
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when=1"]

    result = person.run("runc", [*strace, OCISHIM, "--runtime", "runc", "run", bundle.path])

    assert (result.status, result.out) == (-9, "")
