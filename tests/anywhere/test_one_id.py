"""A user who has no ids but the own: a container of one user, which `plan` says, and what it cannot have."""

import json
import pathlib
from collections.abc import Iterator

import pytest
from anywhere.people import STRANGER, OwnBundle, Person, lend
from harness import OCISHIM, Result

NO_ENTRY = f"no ids for uid {STRANGER} in /etc/subuid and /etc/subgid"
#: Why there are none: how the person is made, and what is said.
WHY = {
    "no entry": NO_ENTRY,
    "no new privileges": "newuidmap may not run: no_new_privs is set",
    "newuidmap is not installed": "newuidmap not installed, Debian's package is uidmap",
    "newuidmap has lost a bit": "newuidmap without set-user-ID root here",
    "programs without privileges": "newuidmap and newgidmap without set-user-ID root here",
    "no name": f"uid {STRANGER} has no name, which newuidmap asks for",
    "nothing is installed": "newuidmap and newgidmap not installed, Debian's package is uidmap",
}


#: Shell code that root runs before, with /mnt for what it makes.
SETUP = {
    "newuidmap has lost a bit": "mount -t tmpfs -o mode=755 tmpfs /mnt && cp /usr/bin/newuidmap /mnt && "
    "chmod 755 /mnt/newuidmap && mount --bind /mnt/newuidmap /usr/bin/newuidmap && umount -l /mnt && ",
    "programs without privileges": "mount --bind /usr/bin /usr/bin && "
    "mount -o remount,bind,nosuid /usr/bin && ",
    "no name": "mount -t tmpfs -o mode=755 tmpfs /mnt && "
    f"echo {STRANGER}:100000:1000 >/mnt/granted && mount --bind /mnt/granted /etc/subuid && "
    "mount --bind /mnt/granted /etc/subgid && umount -l /mnt && ",
}


def hide(*names: str) -> str:
    """Give the shell code that takes programs away."""
    return "".join(f"mount --bind /dev/null /usr/bin/{name} && " for name in names)


@pytest.fixture
def who() -> str:
    return "user"


@pytest.fixture
def person(directory: pathlib.Path, why: str) -> Iterator[Person]:
    uid = STRANGER if why in ("no entry", "no name") else -1
    for person in lend(directory, "user", uid):
        if why == "no new privileges":
            person.become.append("--no-new-privs")
        elif why in SETUP:
            person.setup = SETUP[why]
        elif why != "no entry":
            both = ("newuidmap", "newgidmap")
            person.setup = hide(*(both if why == "nothing is installed" else both[:1]))
        yield person


@pytest.mark.parametrize("why", WHY)
def test_a_container_of_one_user_works(
    person: Person, bundle: OwnBundle, runtime: str, backend: str, why: str
) -> None:
    bundle.layer("lower/d", file="x\n")
    bundle.overlay()
    bundle.work("cd /ov; id -u; cat d/file; rm -r d; mkdir d; ls -A d; mkdir e; mv e f; ls")

    result = person.container(runtime, bundle, "--overlay", backend)

    assert result == Result(0, "0\nx\nd\nf\n", "")


@pytest.mark.parametrize("why", WHY)
def test_plan_says_so(person: Person, bundle: OwnBundle, why: str) -> None:
    bundle.overlay()

    where = {"XDG_RUNTIME_DIR": str(person.directory)}
    result = person.run("runc", [OCISHIM, "plan", "--runtime", "runc", bundle.path], env=where)

    assert (result.status, result.err) == (0, "")
    limits = "chown to others fails, and files of others belong to nobody"
    assert f"one user and one group are mapped ({WHY[why]}): {limits}" in " ".join(result.out.split())


@pytest.mark.parametrize("why", ["no entry"])
def test_a_container_s_life_in_single_commands(
    person: Person, bundle: OwnBundle, runtime: str, backend: str, why: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = person.id(runtime)

    def after(*words: str) -> Result:
        return person.ocishim(runtime, *words, detached=True)

    started = person.start(runtime, bundle, name, "--overlay", backend, one_id=True)
    assert {(each.status, each.out, each.err) for each in started} == {(0, "", "")}
    assert after("exec", name, "touch", "/ov/new") == Result(0, "", "")
    assert json.loads(after("state", name).out)["status"] == "running"
    assert after("kill", name, "KILL") == Result(0, "", "")
    assert after("delete", "--force", name) == Result(0, "", "")
    assert [p.name for p in (bundle.directory / "upper").iterdir()] == ["new"]


@pytest.mark.parametrize("why", ["no entry"])
@pytest.mark.parametrize(
    ("user", "field", "id_"),
    [
        ({"uid": 1000}, "uid", 1000),
        ({"gid": 1000}, "gid", 1000),
        ({"additionalGids": [5]}, "additionalGids", 5),
    ],
)
def test_another_user_is_refused(
    person: Person, bundle: OwnBundle, why: str, user: dict[str, object], field: str, id_: int
) -> None:
    bundle.overlay()
    bundle.spec["process"]["user"] |= user

    result = person.container("runc", bundle)

    assert result == Result(
        1,
        "",
        f"ocishim: process.user.{field}: {id_} is not mapped in the container's user namespace, which has "
        f"0 → {STRANGER}; let root grant subordinate ids, or run the container as uid 0, which is the user "
        "outside; ocishim explain OVL-UNS-12\n",
    )
