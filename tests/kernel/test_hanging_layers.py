"""Layers on file systems that do not answer: refused in time, with nothing left."""

import os
import time

import pytest
from harness import OCISHIM, STAGE, Bundle, Host, Result
from kernel.test_rehearsal import overlays

#: ocishim that waits less for a file system.
_IMPATIENT = f"""
import sys
sys.path.insert(0, {str(STAGE.parent.parent)!r})
from ocishim import patience
patience.LIMIT = 0.7
from ocishim.shim import main
sys.exit(main())
"""
IMPATIENT = (str(OCISHIM.parent / "python3"), "-IS", "-c", _IMPATIENT)
#: Mounts FUSE on a directory, answers nothing, and runs a command.
_DEAF = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
device = os.open("/dev/fuse", os.O_RDWR)
data = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"deaf", sys.argv[1].encode(), b"fuse.deaf", 0, data.encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
_HANGS = (
    "no answer within 0.7 s: its file system hangs; look after its server, if it has one; umount -f ends the "
    "waiting; ocishim explain OVL-LOW-28\n"
)


@pytest.mark.parametrize("mode", ["auto", "kernel", "fuse"])
@pytest.mark.parametrize("role", ["lowerdir", "upperdir", "workdir", "datadir"])
def test_a_layer_whose_server_hangs_is_refused_in_time(
    host: Host, bundle: Bundle, mode: str, role: str
) -> None:
    names = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work", "datadir": "data", role: "deaf"}
    for name in names.values():
        bundle.layer(name)
    bundle.overlay(
        f"lowerdir=top:{names['lowerdir']}::{names['datadir']}",
        f"upperdir={names['upperdir']}",
        f"workdir={names['workdir']}",
    )
    bundle.layer("top")
    deaf = ["unshare", "--mount", "--propagation", "private", "python3", "-c", _DEAF]
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]
    begin = time.monotonic()

    result = host.run("runc", [*deaf, f"{bundle.directory}/deaf", *IMPATIENT, *words], timeout=20)

    assert result == Result(1, "", f"ocishim: mounts[1]: {role}=deaf: {_HANGS}")
    assert time.monotonic() - begin < 10
    assert host.wait_until_nothing_is_left() == []


@pytest.mark.parametrize("mode", ["auto", "kernel"])
def test_a_layer_that_hangs_in_its_trial_is_refused_in_time(host: Host, bundle: Bundle, mode: str) -> None:
    """By strace: one file of the layer opens too late."""
    bundle.layer("lower", file="x\n")
    overlays(bundle, "lower")
    strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(host.directory / "trace"),
        "-P",
        f"{bundle.directory}/lower/file",
    ]
    strace += ["-e", "trace=openat", "-e", "inject=openat:delay_enter=5s"]
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]

    result = host.run("runc", [*strace, *IMPATIENT, *words], timeout=60)

    at = f"mounts[1]: lowerdir={bundle.directory}/lower"
    said = [line for line in result.err.splitlines() if not line.startswith("strace: ")]
    assert (result.status, result.out, len(said)) == (1, "", 1)
    assert said[0].startswith(f"ocishim: {at}: no answer within 0.7 s: ")
    assert said[0].endswith("; ocishim explain OVL-LOW-28")
    assert os.listdir(bundle.directory / "work") == []
    assert host.wait_until_nothing_is_left() == []


def test_the_limit_is_what_is_written() -> None:
    from ocishim import patience

    assert patience.LIMIT == 10.0
