"""The facts that `ocishim doctor` finds on this host are those that mount(8) and unshare(1) find."""

import json
import os
import pathlib
import subprocess
import time
from typing import Any

import jsonschema
import pytest
from harness import OCISHIM, ROOT, STAGE, Host, Result, wait_for

SCHEMA = json.loads((ROOT / "schemas/facts.schema.json").read_text())
#: Those options that mount(2) takes in one string, too.
OPTIONS = [
    "userxattr", "metacopy=on", "redirect_dir=on", "index=on", "index=on,nfs_export=on", "xino=on",
    "volatile", "metacopy=on,verity=on",
]  # fmt: skip
LAYERS = "lowerdir=l1:l2,upperdir=u,workdir=w"
SCRATCH = "mount -t tmpfs scratch /mnt && cd /mnt && mkdir l1 l2 u w m && "
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
#: What doctor does to an overlay, by other programs; mv would copy where rename(2) fails.
OPERATIONS = {
    "read": "cat m/directory/file",
    "write": "echo upper >m/directory/file",
    "whiteout": "rm m/gone && test ! -e m/gone",
    "opaque": 'rm -r m/opaque && mkdir m/opaque && test -z "$(ls m/opaque)"',
    "rename": 'mkdir m/new && python3 -c \'import os; os.rename("m/new", "m/renamed")\'',
    "xattr": 'python3 -c \'import os; os.setxattr("m/directory/file", "user.ocishim", b"")\'',
}


def shell(script: str, *prefix: str) -> bool:
    """Run a script in a mount namespace of its own; tell whether it succeeded."""
    command = [*(prefix or ("unshare", "--mount")), "sh", "-c", script]
    return subprocess.run(command, capture_output=True, check=False, cwd="/", timeout=20).returncode == 0


#: Shows the checkout on /mnt, to the command only.
_SHOW = 'mount --bind "$0" /mnt && exec "$@"'
_READABLE = [
    "/usr/bin/python3", "-IS", "-c",
    f"import sys; sys.path.insert(0, '/mnt/{STAGE.parent.parent.relative_to(ROOT)}'); "
    "sys.argv[0] = 'ocishim'; from ocishim.shim import main; sys.exit(main())",
]  # fmt: skip


def _as_root(*prefix: str, words: tuple[str, ...]) -> list[str]:
    return [*prefix, str(OCISHIM), "doctor", *words]


def _as_nobody(*prefix: str, words: tuple[str, ...]) -> list[str]:
    """Give a command line for somebody who may not read the checkout: it may lie below root's home."""
    show = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _SHOW, str(ROOT)]
    return [*show, *prefix, *_READABLE, "doctor", *words]


def look(host: Host, *prefix: str) -> tuple[int, Any]:
    """Run doctor; give its status and the facts, which must be valid."""
    # The test's own settings are no more readable for nobody than its directory.
    settings = {} if prefix[:1] != ("setpriv",) else {"OCISHIM_CONFIG": ""}
    program = _as_nobody if settings else _as_root
    result = host.run("runc", program(*prefix, words=("--format", "json")), cwd="/", env=settings)
    assert result.err == ""
    found = json.loads(result.out)
    jsonschema.validate(found, SCHEMA, cls=jsonschema.Draft202012Validator)
    return result.status, found


@pytest.fixture(params=[(), AS_NOBODY, ["unshare", "-Urm"]], ids=["root", "nobody", "userns"])
def who(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


def test_root_can_have_overlays_here(host: Host) -> None:
    status, found = look(host)

    assert status == 0
    assert found["kernel"]["release"] == os.uname().release
    assert (found["process"]["uid"], "CAP_SYS_ADMIN" in found["process"]["capabilities"]) == (0, True)
    assert found["overlay"]["registered"] == ("\toverlay\n" in pathlib.Path("/proc/filesystems").read_text())
    assert [runtime["path"] for runtime in found["runtimes"]] == [
        host.path(name) for name in ("runc", "crun", "runsc")
    ]
    assert all(runtime["version"] for runtime in found["runtimes"])


def test_gvisor_is_told_from_linux(host: Host) -> None:
    sandbox = ["runsc", "--root", host.root("runsc"), "--network=none", "--ignore-cgroups", "do", "--quiet"]

    inside = host.run("runc", [*sandbox, "--cwd", "/", str(OCISHIM), "doctor", "--format", "json"])
    _, outside = look(host)

    assert json.loads(inside.out)["kernel"]["is_gvisor"]
    assert not outside["kernel"]["is_gvisor"]


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_works_as_mount_finds(host: Host, option: str) -> None:
    _, found = look(host)

    name = option.rpartition(",")[2]
    assert found["overlay"]["tried"] == "here"
    works = shell(f"{SCRATCH} mount -t overlay overlay -o {LAYERS},{option} m")
    assert (found["overlay"]["options"][name]["result"] == "yes") == works


@pytest.mark.parametrize("userxattr", [False, True])
@pytest.mark.parametrize("where", ["here", "userns"])
def test_an_overlay_works_as_a_shell_finds(host: Host, where: str, userxattr: bool) -> None:
    _, found = look(host)

    [trial] = [t for t in found["trials"] if (t["where"], t["userxattr"]) == (where, userxattr)]
    prefix = ["unshare", "--mount"] if where == "here" else [*AS_NOBODY, "unshare", "-Urm"]
    option = ",userxattr" if userxattr else ""
    make = f"{SCRATCH} mkdir l1/directory l1/opaque && touch l1/gone l1/directory/file l1/opaque/file && "
    make += f"mount -t overlay overlay -o {LAYERS}{option} m && "
    works = {name: shell(f"{make} {script}", *prefix) for name, script in OPERATIONS.items()}
    assert {name: not errno for name, errno in trial["operations"].items()} == works


def test_each_user_is_told_apart(host: Host, who: list[str]) -> None:
    _, found = look(host, *who)

    userns = found["userns"]
    trusted = 'python3 -c \'import os; os.setxattr("m", "trusted.overlay.x", b"")\''
    initial = shell(f"{SCRATCH} {trusted}")
    outside = initial and who[:1] != ["unshare"]
    by_xattr = {"unshare": False, "setpriv": None, "": True}[(who or [""])[0]]
    assert (userns["by_inode"], userns["by_uid_map"], userns["by_xattr"]) == (outside, outside, by_xattr)
    assert (userns["make"]["result"] == "yes") == shell("true", *AS_NOBODY, "unshare", "-Urm")
    assert found["overlay"]["tried"] == ("userns" if who == AS_NOBODY else "here")


def test_nothing_is_left(host: Host, who: list[str]) -> None:
    def state() -> tuple[str, list[str], set[str]]:
        commands = set()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                commands.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (OSError, ValueError):
                continue
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        own = "".join(line for line in mounts if str(STAGE) in line or "ocishim" in line)
        return own, sorted(os.listdir(STAGE)), {line for line in commands if f"{OCISHIM} doctor" in line}

    before = state()

    look(host, *who)

    assert wait_for(lambda: state() == before), (before, state())


@pytest.mark.parametrize("delay", [0.1, 0.15, 0.2, 0.25])
def test_nothing_is_left_of_one_that_is_killed(host: Host, delay: float) -> None:
    environment = host.environment({"MARK": host.prefix})
    process = subprocess.Popen([OCISHIM, "doctor"], env=environment, stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.kill()
    process.wait()

    def left() -> list[str]:
        found = []
        for other in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if f"MARK={host.prefix}".encode() in (other / "environ").read_bytes():
                    found.append(other.name)
            except OSError:
                continue
        return found

    assert wait_for(lambda: left() == []), left()
    assert os.listdir(STAGE) == ["README"]


def test_it_takes_less_than_two_seconds(host: Host) -> None:
    took = []
    for _ in range(3):
        start = time.monotonic()
        look(host)
        took.append(time.monotonic() - start)

    assert min(took) < 2


def test_a_program_that_hangs_is_not_waited_for(host: Host, tmp_path: pathlib.Path) -> None:
    slow = tmp_path / "runc-slow"
    slow.write_text(f"#!/bin/sh\nsh -c 'sleep 30; true' {tmp_path}\n")
    slow.chmod(0o755)
    host.set(f'fuse_overlayfs = "{slow}"\n[runtimes.slow]\npath = "{slow}"\n')

    start = time.monotonic()
    _, found = look(host)

    assert time.monotonic() - start < 5
    assert (found["fuse"]["version"], found["runtimes"][0]["version"]) == ("", "")


def test_the_facts_of_this_host_are_judged_elsewhere_as_here(host: Host, tmp_path: pathlib.Path) -> None:
    here = host.run("runc", [OCISHIM, "doctor"])
    file = tmp_path / "facts.json"
    file.write_text(host.run("runc", [OCISHIM, "doctor", "--format", "json"]).out)

    with file.open() as opened:
        there = host.run("runc", _as_nobody(*AS_NOBODY, words=("--facts", "-")), stdin=opened)

    assert there == Result(0, here.out, "")
