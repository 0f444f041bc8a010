"""`ocishim unshare`: what containers of an ordinary user leave can be read and deleted."""

from collections.abc import Iterator

import pytest
from harness import OCISHIM, Bundle, Result
from kernel.person import GRANTED, UID, Person, directory

MADE = (
    "echo $(id -u) $(id -g); mkdir -p own/dir; touch own/dir/file; chown -R 33:44 own/dir; chmod 700 own/dir"
)


@pytest.fixture(params=["user", "user with ids"])
def user(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Be an ordinary user, without subordinate ids and with them."""
    made = Person(request.param, directory())
    yield made
    made.end()


def test_what_a_container_leaves_can_be_deleted(user: Person) -> None:
    bundle = Bundle(
        user.directory / "bundle", "mkdir /ov/dir; echo 1 >/ov/dir/file; rm /ov/old; chown 33 /ov/dir"
    )
    bundle.overlay()
    bundle.layer("lower", old="")
    del bundle.spec["linux"]["namespaces"][-1]  # a user has no network of its own to give
    path = bundle.path
    user.own(bundle.directory)
    runtime_directory = user.lay("run")
    run = (OCISHIM, "--root", runtime_directory, "--runtime", "runc", "run", "--bundle", path, "leaves")
    remove = ("rm", "-rf", f"{path}/upper", f"{path}/work-upper")
    made = user.run(*run)

    plain, unshared = user.run(*remove), user.ocishim("unshare", "--", *remove)

    assert made.status == (0 if user.who == "user with ids" else 1), made
    assert plain.status == 1
    assert f"rm: cannot remove '{path}/work-upper/work': " in plain.err
    assert unshared == Result(0, "", "")
    assert sorted(file.name for file in bundle.directory.iterdir()) == ["config.json", "lower"]


def test_all_subordinate_ids_are_there(user: Person) -> None:
    made = user.ocishim("unshare", "--", "sh", "-c", MADE)

    if user.who == "user":
        assert made.out == "0 0\n"
        assert "Invalid argument" in made.err  # one id is all there is
        return
    found = (user.directory / "own/dir").stat()
    assert (made, found.st_uid, found.st_gid) == (Result(0, "0 0\n", ""), GRANTED + 32, GRANTED + 43)
    assert user.run("cat", "own/dir/file").status == 1
    assert user.ocishim("diff", "own") == Result(0, "A  dir/\nA  dir/file\n", "")


def test_a_view_has_the_users_ids_and_the_subordinate_ones_as_they_are(user: Person) -> None:
    user.lay("lower", file="")
    words = ("view", "--lower", "lower", "--upper", "upper", "--", "sh", "-c")
    seen = user.ocishim(*words, "cat /proc/self/uid_map; id -u; stat -c %u lower/file; touch lower/new")

    maps = [[UID, UID, 1], *([[GRANTED, GRANTED, 65536]] if user.who == "user with ids" else [])]
    lines = [[int(number) for number in line.split()] for line in seen.out.splitlines()]
    assert (seen.status, lines, seen.err) == (0, [*maps, [UID], [UID]], "")
    assert (user.directory / "upper/new").stat().st_uid == UID


def test_without_a_command_it_is_the_shell(user: Person) -> None:
    environment = {**user.environment(), "SHELL": "/usr/bin/whoami"}

    results = [user.ocishim("unshare", env=environment), user.ocishim("unshare")]

    assert results == [Result(0, "root\n", ""), Result(0, "", "")]


@pytest.mark.parametrize(
    ("command", "status", "err"),
    [("exit 9", 9, ""), ("nowhere", 127, "sh: 1: nowhere: not found\n")],
)
def test_the_exit_status_is_the_commands(user: Person, command: str, status: int, err: str) -> None:
    assert user.ocishim("unshare", "--", "sh", "-c", command) == Result(status, "", err)


def test_a_command_that_is_not_there(user: Person) -> None:
    assert user.ocishim("unshare", "nowhere") == Result(127, "", "ocishim: nowhere: no such command\n")


def test_root_runs_it_as_it_is() -> None:
    root = Person("root", directory())
    question = ("sh", "-c", "id; readlink /proc/self/ns/user /proc/self/ns/mnt; env")

    same = root.ocishim("unshare", "--", *question) == root.run(*question)

    root.end()
    assert same
