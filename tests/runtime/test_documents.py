"""What the documents promise: the README's commands, the demo, the wheel."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from harness import OCISHIM, ROOT, Bundle, Host, Result

#: Run elsewhere: this is a part of it.
_IS_THIS = "hack/test"


def commands(text: str) -> list[str]:
    """Find the commands of a document's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def shell(command: str, **environment: str) -> Result:
    """Run a command line in the checkout."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_readme_commands_work_in_their_order(tmp_path: pathlib.Path) -> None:
    found = commands((ROOT / "README.md").read_text())
    upper = ROOT / "examples/bundles/hello/upper"
    said = {}

    for command in found:
        if command != _IS_THIS:
            # To a file: a created container holds its output open.
            result = shell(f"{command} >{tmp_path}/out 2>&1")
            said[command] = (tmp_path / "out").read_text()
            assert (command, 0) == (command, result.status), said[command]

    assert _IS_THIS in found
    assert (upper / "new").read_text() == "written by the container\n"
    before, _, after = said["hack/demo"].partition("2. The same bundle through ocishim")
    assert "exit status: 0\nupperdir after it: nothing\n" in before
    assert "/ov/greeting: from lower1\nexit status: 0\nupperdir after it: new\n" in after
    assert "mounts: 0\nconfig.json changed: no\n" in after


def test_ci_runs_what_the_readme_says() -> None:
    assert "exec hack/test\n" in (ROOT / ".ci/run").read_text()


def test_the_wheel_installs_by_pipx_and_runs_an_overlay(host: Host, tmp_path: pathlib.Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "cat /ov/file")
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    environment = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_DEFAULT_PYTHON": "/usr/bin/python3",
        "OCISHIM_CONFIG": str(host.settings),
    }
    build = f"{sys.executable} -m hatchling build -t wheel -d {tmp_path}/dist"

    assert shell(build).status == 0
    [wheel] = (tmp_path / "dist").glob("*.whl")
    assert shell(f"{sys.executable} -m pipx install {wheel}", **environment).status == 0
    installed = tmp_path / "bin/ocishim"
    version = shell(f"{installed} --runtime runc --version", **environment)
    ran = shell(f"{installed} --runtime runc --root {tmp_path}/state run {bundle.path}", **environment)
    helped = shell(f"{installed} --help", **environment)

    pages = sorted(path.name for path in (tmp_path / "pipx").glob("venvs/ocishim/share/man/man1/*"))
    assert version.out.startswith("ocishim version ")
    assert {"ocishim.1", "ocishim-doctor.1", "ocishim-run.1"} <= {*pages}
    assert (ran, helped.status) == (Result(0, "x\n", ""), 0)


def test_version_says_ocishims_own_then_the_runtimes(host: Host) -> None:
    result = host.run("runc", [OCISHIM, "--runtime", "runc", "--version"])

    own, runtimes = result.out.splitlines()[:2]
    assert re.fullmatch(r"ocishim version \d+\.\d+\.\d+", own)
    assert runtimes.startswith("runc version ")


@pytest.mark.parametrize("words", [["--help"], ["help"], ["-h"], [], ["run", "--help"], ["help", "run"]])
def test_help_tells_what_to_do(words: list[str]) -> None:
    result = shell(f"{OCISHIM} {' '.join(words)}")

    assert (result.status, result.err) == (0, "")
    assert "BUNDLE" in result.out
    assert max(len(line) for line in result.out.splitlines()) <= 100
