"""A container's later commands come from other processes of the same user, which know nothing but its id."""

import json
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from anywhere.people import OwnBundle, Person
from harness import Result, wait_for

_TREE = pathlib.Path("/sys/fs/cgroup")


@pytest.fixture
def cgroup(person: Person) -> Iterator[str]:
    """Delegate a control group to the person, as a host's administrator does; give its path.

    crun wants those of controllers too that are mounted nowhere.
    """
    name = f"ocishim-test-{person.prefix}"
    controllers = [line.split()[0] for line in pathlib.Path("/proc/cgroups").read_text().splitlines()[1:]]
    for each in (*controllers, "systemd"):
        _delegate(person, _TREE / each / name)
    _below_unified(f"mkdir {name}; chown {person.uid}:{person.gid} {name}")
    yield f"/{name}"
    person.end()
    _below_unified(f"rm -r {name}")
    for each in (*controllers, "systemd", "unified"):
        assert wait_for(lambda directory=_TREE / each / name: _remove(directory)), each


def _delegate(person: Person, directory: pathlib.Path) -> None:
    directory.mkdir(parents=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (directory / name).exists():
            (directory / name).write_text((directory.parent / name).read_text())
    person.own_all(directory)


def _below_unified(script: str) -> None:
    """Change what crun has there, whose commands do not see the mount (see people.py)."""
    script = f"umount /sys/fs/cgroup/unified 2>/dev/null; cd /sys/fs/cgroup/unified; {script}"
    subprocess.run(["unshare", "--mount", "--propagation", "slave", "sh", "-c", script], check=True)


def _remove(directory: pathlib.Path) -> bool:
    """Remove a control group and those below; not while a process is in one."""
    try:
        for below in sorted((p for p in directory.rglob("*") if p.is_dir()), reverse=True):
            below.rmdir()
        if directory.exists():
            directory.rmdir()
    except OSError:
        return False
    return True


def test_a_container_s_life_in_single_commands(
    person: Person, bundle: OwnBundle, cgroup: str, runtime: str, backend: str
) -> None:
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    bundle.spec["linux"]["cgroupsPath"] = f"{cgroup}/c"
    name = person.id(runtime)

    def after(*words: str) -> Result:
        return person.ocishim(runtime, *words, detached=True)

    started = person.start(runtime, bundle, name, "--overlay", backend)
    assert {(each.status, each.out, each.err) for each in started} == {(0, "", "")}
    assert json.loads(after("state", name).out)["status"] == "running"
    assert after("exec", name, "cat", "/ov/file") == Result(0, "x\n", "")
    assert after("exec", name, "sh", "-c", "echo y >/ov/y; exit 7") == Result(7, "", "")
    assert (bundle.directory / "upper/y").read_text() == "y\n"
    assert name in after("list").out
    assert "PID" in after("ps", name).out
    assert after("pause", name).status == 0
    assert json.loads(after("state", name).out)["status"] == "paused"
    assert after("resume", name).status == 0
    if runtime != "runsc":  # this version has no such command
        assert after("update", "--pids-limit", "77", name) == Result(0, "", "")
        assert pathlib.Path(f"/sys/fs/cgroup/pids{cgroup}/c/pids.max").read_text() == "77\n"
    assert after("kill", name, "KILL") == Result(0, "", "")
    assert wait_for(lambda: json.loads(after("state", name).out)["status"] == "stopped")
    assert after("delete", name) == Result(0, "", "")
    assert after("state", name).status != 0


def test_a_running_container_is_deleted_by_force(
    person: Person, bundle: OwnBundle, runtime: str, backend: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = person.id(runtime)
    words = ("--overlay", backend, "run", "--detach", "--bundle", bundle.path, name)
    assert person.ocishim(runtime, *words, detached=True) == Result(0, "", "")

    result = person.ocishim(runtime, "delete", "--force", name)

    assert result == Result(0, "", "")
    assert person.wait_until_nothing_is_left() == []
