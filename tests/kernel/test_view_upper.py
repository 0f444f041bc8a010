"""The upper layer of a view: used again, had by one at a time, its workdir removed whatever happens."""

import os
import pathlib
import subprocess
import time

import pytest
from harness import OCISHIM, Bundle, Host, Result, wait_for
from kernel.person import Person, person

__all__ = ["person"]
WORDS = ("view", "--lower", "place", "--upper", "upper", "--overlay")


@pytest.fixture(params=["kernel", "fuse"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _started(person: Person, mode: str, *command: str) -> "subprocess.Popen[str]":
    """Start a view; it is there when this returns."""
    script = 'echo there; exec "$@"'
    process = person.start(
        OCISHIM, *WORDS, mode, "--", "sh", "-c", script, "sh", *command, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == "there\n"
    return process


def _keeper(person: Person) -> int:
    """Find the process that waits for the end of the view, by what it holds."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            held = {os.readlink(file) for file in (process / "fd").iterdir()}
        except OSError:
            continue
        if b"--upper" in words and str(person.directory / "upper") in held:
            return int(process.name)
    raise AssertionError("no keeper")


def test_an_upper_layer_is_made_like_the_lower_one_and_used_again(person: Person, mode: str) -> None:
    place = person.lay("place", old="1\n", dir__inner="2\n")
    place.chmod(0o2751)

    first = person.ocishim(
        *WORDS, mode, "--", "sh", "-c", "cd place; rm old; rm -r dir; mkdir dir; echo 3 >new"
    )
    again = [person.ocishim(*WORDS, mode, "--", "sh", "-c", "cd place; find | sort") for _ in range(2)]

    assert [first, *again] == [Result(0, "", ""), *[Result(0, ".\n./dir\n./new\n", "")] * 2]
    found = (person.directory / "upper").stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o2751, person.uid, person.uid)
    assert wait_for(lambda: person.names() == {"place", "upper"})


def test_one_that_is_in_use_is_refused_at_once_and_free_at_once(person: Person, mode: str) -> None:
    person.lay("place")
    with _started(person, mode, "sleep", "1000") as first:
        begin = time.monotonic()
        second = person.ocishim(*WORDS, mode, "--", "true")
        took = time.monotonic() - begin
        first.kill()
    third = person.ocishim(*WORDS, mode, "--", "true")

    upper = person.directory / "upper"
    assert (second.status, second.out) == (1, "")
    assert second.err.startswith(f"ocishim: view: --upper {upper} is in use by ")
    assert second.err.endswith(
        "; end the other one, or name another upper layer; ocishim explain OVL-OPT-13\n"
    )
    assert took < 5
    assert third == Result(0, "", "")


def test_of_many_that_start_at_once_one_wins(person: Person, mode: str) -> None:
    person.lay("place")
    running = [
        person.start(OCISHIM, *WORDS, mode, "--", "sleep", "4", stderr=subprocess.DEVNULL) for _ in range(4)
    ]

    assert sorted(process.wait(60) for process in running) == [0, 1, 1, 1]
    assert wait_for(lambda: person.names() == {"place", "upper"})


def test_who_is_refused_does_not_remove_what_another_has(person: Person) -> None:
    """An upper layer may be made by one view, and be had by another one a moment later."""
    person.lay("place")
    hold = "exec 9<upper; flock 9; echo held; exec sleep 1000"
    slow = (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=flock",
        "-e",
        "inject=flock:delay_enter=2000000",
    )
    with person.start(*slow, OCISHIM, *WORDS, "kernel", "--", "true", stderr=subprocess.PIPE) as second:
        assert wait_for((person.directory / "upper").exists)
        with person.start("sh", "-c", hold, stdout=subprocess.PIPE) as first:
            assert first.stdout
            assert first.stdout.readline() == "held\n"
            _, err = second.communicate(timeout=60)
            first.kill()

    assert (second.returncode, "is in use by" in err) == (1, True)
    assert person.names() == {"place", "upper"}


def test_a_container_cannot_have_what_a_view_has(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    upper = bundle.directory / "upper"
    words = [str(OCISHIM), "view", "--lower", str(bundle.directory / "lower"), "--upper", str(upper), "--"]
    with subprocess.Popen([*words, "sh", "-c", "echo there; exec cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=host.environment()) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "there\n"

        result = host.ocishim("runc", "run", bundle.path)

    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"ocishim: mounts[1]: upperdir={upper} is in use by pid {process.pid} (cat)")


def test_the_workdir_stays_as_long_as_anything_is_in_the_view(person: Person, mode: str) -> None:
    person.lay("place")
    script = "(while [ ! -e go ]; do sleep 0.05; done; echo late >place/late) >/dev/null 2>&1 &"
    done = person.ocishim(*WORDS, mode, "--", "sh", "-c", script)
    time.sleep(0.3)
    meanwhile = person.names()
    (person.directory / "go").touch()

    assert done == Result(0, "", "")
    assert len(meanwhile) == 3
    assert wait_for(lambda: person.names() == {"place", "upper", "go"})
    assert (person.directory / "upper/late").read_text() == "late\n"


def test_what_is_killed_leaves_nothing(person: Person, mode: str) -> None:
    person.lay("place")
    for delay in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
        process = person.start(OCISHIM, *WORDS, mode, "--", "sleep", "100", stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()

        assert wait_for(lambda: person.names() - {"upper"} == {"place"}), (delay, person.names())


@pytest.mark.parametrize(
    "point",
    ["mkdir:when=2", "pipe2:when=1", "unshare:when=1", "mount:when=2", "fsmount:when=1", "umount2:when=1"],
)
def test_killed_at_a_system_call_it_leaves_nothing(person: Person, point: str) -> None:
    person.lay("place")
    name, _, when = point.partition(":")
    inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:{when}")

    result = person.run("strace", "-qq", "-o", "/dev/null", *inject, OCISHIM, *WORDS, "kernel", "--", "true")

    assert result.status == -9
    assert wait_for(lambda: person.names() - {"upper"} == {"place"})


def test_what_is_left_where_even_the_keeper_was_killed_is_removed_by_the_next(person: Person) -> None:
    person.lay("place")
    with _started(person, "kernel", "sleep", "1000") as process:
        os.kill(_keeper(person), 9)
        process.kill()
    [left] = person.names() - {"place", "upper"}
    assert [path.name for path in (person.directory / left).iterdir()] == ["work"]

    assert person.ocishim(*WORDS, "kernel", "--", "true") == Result(0, "", "")

    assert wait_for(lambda: person.names() == {"place", "upper"})


def test_the_keeper_holds_nothing_of_the_callers(person: Person) -> None:
    person.lay("place")
    with _started(person, "kernel", "sleep", "1000") as process:
        keeper = pathlib.Path(f"/proc/{_keeper(person)}")
        held = {os.readlink(file).partition(":")[0] for file in (keeper / "fd").iterdir()}
        where = os.readlink(keeper / "cwd")
        mine = [os.readlink(f"/proc/{pid}/ns/mnt") for pid in (keeper.name, process.pid)]
        process.kill()

    assert held == {"/dev/null", "pipe", "anon_inode", str(person.directory / "upper")}
    assert where == "/"
    assert mine[0] != mine[1]
    assert wait_for(lambda: not keeper.exists())


def test_a_refused_view_leaves_neither_workdir_nor_upper_layer(person: Person) -> None:
    person.lay("place")

    result = person.ocishim("view", "--lower", "nowhere:place", "--upper", "upper", "--", "true")

    assert result.status == 1
    assert person.names() == {"place"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("inotify_init1:error=EMFILE", "raise the sysctl fs.inotify.max_user_instances"),
        ("inotify_add_watch:error=ENOSPC", "raise the sysctl fs.inotify.max_user_watches"),
        ("pipe2:error=EMFILE:when=2", "raise the limit of open files (ulimit -n)"),
        ("clone:error=EAGAIN:when=1", "(ulimit -u)"),
        ("setsid:error=EPERM", "no process that could remove it afterwards; try again"),
    ],
)
def test_what_cannot_be_kept_is_not_begun(person: Person, call: str, said: str) -> None:
    person.lay("place")
    name = call.partition(":")[0]
    trace = ("strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={name}", "-e")

    result = person.run(*trace, f"inject={call}", OCISHIM, *WORDS, "kernel", "--", "true")

    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.endswith(f"{said}\n")
    assert person.names() == {"place"}


def test_a_mount_point_has_no_room_beside_it(host: Host) -> None:
    place, upper = host.directory / "place", host.directory / "upper"
    place.mkdir()
    upper.mkdir()
    script = f"mount -t tmpfs tmpfs {upper}; exec {OCISHIM} view --lower {place} --upper {upper} -- true"

    result = host.run("runc", ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script])

    message = (
        "a mount point: its workdir would lie on another file system, beside it; name a directory inside it"
    )
    assert result == Result(1, "", f"ocishim: view: --upper {upper}: {message}\n")


def test_the_server_of_a_stranger_with_a_relative_upper_layer_is_not_ours(person: Person) -> None:
    """A path on a command line is relative to that process's own directory."""
    person.lay("place")
    person.lay("upper")
    other = person.lay("other")
    wait = "exec -a fuse-overlayfs python3 -c 'import sys; sys.stdin.read()' -o lowerdir=l,upperdir=upper"
    hold = f"flock {person.directory}/upper sleep 1"
    with (
        subprocess.Popen(["bash", "-c", wait], stdin=subprocess.PIPE, cwd=other) as decoy,
        subprocess.Popen(["sh", "-c", hold]) as holder,
    ):
        time.sleep(0.2)

        result = person.ocishim(*WORDS, "kernel", "--", "true")

        decoy.kill()
        holder.wait()
    assert result == Result(0, "", "")
