"""Where a user's containers are written down, and that they are no other user's business."""

import json
import os
import pathlib
from collections.abc import Callable

import pytest
from anywhere.people import STRANGER, OwnBundle, Person
from harness import OCISHIM, Result

IDS = (f"--reuid={STRANGER}", f"--regid={STRANGER}")


@pytest.fixture
def who() -> str:
    return "user"


def give_tmp(person: Person) -> pathlib.Path:
    """Let a person's commands have a /tmp of their own, which all may write; give its path."""
    tmp = _mkdir(person.directory / "tmp")
    tmp.chmod(0o1777)
    name = _mkdir(tmp / person.directory.name).name
    person.setup = (
        f"mount --bind {tmp} /mnt && mount --bind {person.directory} /mnt/{name} && "
        "mount --rbind /mnt /tmp && umount -l /mnt && "
    )
    return tmp


def running(person: Person, bundle: OwnBundle, runtime: str, *root: str, env: dict[str, str] | None) -> str:
    """Start a container in the background; give its id."""
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = person.id(runtime)
    words = [*_ocishim(runtime, *root), "run", "--detach", "--bundle", bundle.path, name]
    assert person.run(runtime, words, env=env, detached=True) == Result(0, "", "")
    return name


def _ocishim(runtime: str, *root: str) -> list[str]:
    return [str(OCISHIM), "--runtime", runtime, *root]


@pytest.mark.parametrize("xdg", ["unset", "empty", "set"])
def test_the_state_is_found_again(person: Person, bundle: OwnBundle, runtime: str, xdg: str) -> None:
    own = person.own(_mkdir(person.directory / "xdg"))
    values = {"unset": {}, "empty": {"XDG_RUNTIME_DIR": ""}, "set": {"XDG_RUNTIME_DIR": str(own)}}
    env = values[xdg]
    tmp = give_tmp(person)
    where = str(own) if xdg == "set" else f"/tmp/ocishim-{person.uid}"

    name = running(person, bundle, runtime, env=env)
    found = person.run(runtime, [*_ocishim(runtime), "state", name], env=env)
    there = person.run(runtime, [*_ocishim(runtime, "--root", f"{where}/{runtime}"), "state", name], env=env)
    listed = person.run(runtime, [*_ocishim(runtime), "list"], env=env)
    deleted = person.run(runtime, [*_ocishim(runtime), "delete", "--force", name], env=env)

    assert (json.loads(found.out)["status"], found.err) == ("running", "")
    assert there == found
    assert name in listed.out
    assert deleted == Result(0, "", "")
    made = [tmp / f"ocishim-{person.uid}"] if xdg != "set" else []
    assert [p for p in tmp.iterdir() if p.name != person.directory.name] == made
    assert [p.stat().st_mode & 0o7777 for p in made] == [0o700 for _ in made]


def test_a_plan_makes_no_state_directory(person: Person, bundle: OwnBundle) -> None:
    tmp = give_tmp(person)
    bundle.overlay()

    result = person.run("runc", [OCISHIM, "plan", "--runtime", "runc", bundle.path])

    assert (result.status, result.err) == (0, "")
    assert f"--root /tmp/ocishim-{person.uid}/runc run" in " ".join(result.out.split())
    assert [each.name for each in tmp.iterdir()] == [person.directory.name]


@pytest.mark.parametrize("maker", ["root", "user"])
def test_another_user_is_refused(person: Person, bundle: OwnBundle, runtime: str, maker: str) -> None:
    if maker == "root":
        person = Person(person.directory, "root")
        person.own(person.directory)
    person.directory.chmod(0o755)
    root = person.root(runtime)
    name = running(person, bundle, runtime, "--root", root, env=None)
    other = Person.__new__(Person)
    other.__dict__ |= person.__dict__ | {"become": ["setpriv", *IDS, "--clear-groups"], "who": "user"}

    results = {}
    for words in (("state", name), ("exec", name, "true"), ("kill", name), ("delete", "--force", name)):
        results[words[0]] = other.run(runtime, [*_ocishim(runtime, "--root", root), *words])

    assert {command: (r.status, r.out, r.err.count("\n")) for command, r in results.items()} == dict.fromkeys(
        ("state", "exec", "kill", "delete"), (1, "", 1)
    ), results
    for result in results.values():
        assert result.err.startswith("ocishim: container state ")
        assert result.err.endswith("only the user who made a container can use it\n")
    state = person.run(runtime, [*_ocishim(runtime, "--root", root), "state", name])
    assert json.loads(state.out)["status"] == "running"
    assert person.run(runtime, [*_ocishim(runtime, "--root", root), "delete", "--force", name]).status == 0


@pytest.mark.parametrize("command", ["state", "run"])
def test_a_runtime_directory_of_another_user_is_refused(
    person: Person, bundle: OwnBundle, command: str
) -> None:
    """As su(1) without -l leaves the variable behind."""
    bundle.overlay()
    theirs = person.own(_mkdir(person.directory / "theirs"), STRANGER)
    words = ["state", "c1"] if command == "state" else ["run", bundle.path]

    result = person.run("runc", [*_ocishim("runc"), *words], env={"XDG_RUNTIME_DIR": str(theirs)})

    why = "it is another user's; unset it, or name a directory of yours"
    assert result == Result(1, "", f"ocishim: XDG_RUNTIME_DIR={theirs}: {why}\n")


def test_the_directory_of_another_id_in_a_user_namespace(person: Person) -> None:
    """It has the user's id on the host: uid 7 in there is another's out there."""
    tmp = give_tmp(person)
    person.become += ["unshare", "--user", "--map-user=7", "--map-group=7"]

    person.run("runc", [*_ocishim("runc"), "state", "c1"])

    made = [p.name for p in tmp.iterdir() if p.name != person.directory.name]
    assert made == [f"ocishim-{person.uid}"]


def _is_a_link(path: pathlib.Path, uid: int) -> None:
    own = _mkdir(path.with_name(f"{path.name}-target"))
    os.chown(own, uid, uid)
    path.symlink_to(own)


def _is_open(path: pathlib.Path, uid: int) -> None:
    os.chown(_mkdir(path), uid, uid)
    path.chmod(0o777)


def _is_root_s(path: pathlib.Path, uid: int) -> None:
    _mkdir(path)


def _is_a_file(path: pathlib.Path, uid: int) -> None:
    path.touch()
    os.chown(path, uid, uid)


def _mkdir(path: pathlib.Path) -> pathlib.Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("prepare", [_is_a_link, _is_open, _is_root_s, _is_a_file])
def test_a_state_directory_that_others_may_write_is_refused(
    person: Person, prepare: Callable[[pathlib.Path, int], None]
) -> None:
    name = f"ocishim-{person.uid}"
    prepare(give_tmp(person) / name, person.uid)

    result = person.run("runc", [*_ocishim("runc"), "state", "c1"])

    why = "others may have put something there; set XDG_RUNTIME_DIR"
    assert result == Result(1, "", f"ocishim: state directory /tmp/{name}: {why}\n")
