"""The FUSE half of `ocishim doctor`: fuse-overlayfs started and used, and programs that pretend to be it."""

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest
from harness import OCISHIM, Host, wait_for

WORKS = {"result": "yes", "step": "", "errno": "", "said": ""}


def fuse(host: Host, *prefix: str) -> dict[str, Any]:
    """Run doctor; give its facts about FUSE."""
    result = host.run("runc", [*prefix, OCISHIM, "doctor", "--format", "json"], cwd="/")
    assert (result.status in (0, 1), result.err) == (True, "")
    found: dict[str, Any] = json.loads(result.out)["fuse"]
    return found


def pretend(host: Host, script: str) -> str:
    """Have a script taken for fuse-overlayfs."""
    program = host.directory / "fuse-overlayfs"
    program.write_text(f'#!/bin/sh\n[ "$1" = -f ] || exec /usr/bin/fuse-overlayfs "$@"\n{script}\n')
    program.chmod(0o755)
    host.settings.write_text(f'fuse_overlayfs = "{program}"\n[runtimes.runc]\n')
    return str(program)


@pytest.mark.parametrize("prefix", [(), ("unshare", "-Urm")], ids=["root", "userns"])
def test_an_overlay_is_served_and_used(host: Host, prefix: tuple[str, ...]) -> None:
    found = fuse(host, *prefix)

    assert found["served"] == WORKS
    assert found["operations"] == dict.fromkeys(
        ["read", "write", "whiteout", "opaque", "rename", "xattr"], ""
    )


@pytest.mark.parametrize(
    ("script", "errno", "said"),
    [
        ("echo cannot do it >&2; exit 1", "ENOTCONN", "cannot do it"),
        ("exit 0", "ENOTCONN", ""),
        ("sleep 100", "ETIMEDOUT", "no answer within 2 s"),
        ("printf '%01000d' 0 >&2; exit 1", "ENOTCONN", "0" * 300),
    ],
)
def test_a_server_that_does_not_serve_is_told_with_its_reason(
    host: Host, script: str, errno: str, said: str
) -> None:
    pretend(host, script)

    found = fuse(host)

    assert found["served"] == {
        "result": "no", "step": "the first request", "errno": errno, "said": said,
    }  # fmt: skip
    assert found["operations"] == {}


def test_nothing_is_left_of_a_server_when_doctor_is_killed(host: Host, tmp_path: pathlib.Path) -> None:
    program = pretend(host, f"echo $$ >{tmp_path}/pid; exec sleep 100")
    process = subprocess.Popen(
        [OCISHIM, "doctor"], env=host.environment(), stdout=subprocess.DEVNULL, cwd="/"
    )
    assert wait_for((tmp_path / "pid").exists)

    process.kill()
    process.wait()

    pid = (tmp_path / "pid").read_text().strip()
    assert wait_for(lambda: not os.path.exists(f"/proc/{pid}")), program


def test_doctor_says_what_is_wrong_with_a_server(host: Host) -> None:
    pretend(host, "echo cannot do it >&2; exit 1")

    result = host.run("runc", [OCISHIM, "doctor"])

    assert result.status == 1
    out = " ".join(result.out.split())
    assert " no an overlay by fuse-overlayfs: ENOTCONN from the first request: cannot do it → " in out
    assert " no by fuse-overlayfs: refused: an overlay by fuse-overlayfs: ENOTCONN from " in out
