"""Shell completion: what is offered, that bash takes it, and that no command line of a runtime gets there."""

import os
import pathlib
import shlex
import subprocess

import pytest
from harness import OCISHIM, ROOT

from ocishim import argv, findings
from ocishim.cli.completion import OCI
from ocishim.cli.main import main

BUNDLES = ["hello", "odd-names", "read-only", "two-views"]
OWN = ["run", "plan", "doctor", "explain", "view", "diff", "unshare", "completion", "help"]


@pytest.fixture
def offered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "Offered":
    return Offered(capsys, monkeypatch)


class Offered:
    """Asks as the scripts of the shells do."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        monkeypatch.chdir(ROOT / "examples/bundles")
        monkeypatch.setenv("OCISHIM_CONFIG", "")

    def __call__(self, line: str, shell: str = "bash") -> list[str]:
        words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        self.monkeypatch.setenv("COMP_WORDS", line)
        self.monkeypatch.setenv("COMP_CWORD", str(len(words) - 1) if shell != "fish" else words[-1])
        self.monkeypatch.setenv("_OCISHIM_COMPLETE", f"{shell}_complete")
        with pytest.raises(SystemExit) as exit_:
            main(["--help"])
        assert exit_.value.code == 0
        return self.capsys.readouterr().out.strip("\n").splitlines()


def plain(*names: str) -> list[str]:
    """Write names as click's script for bash reads them."""
    return [f"plain,{name}" for name in names]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ocishim ", plain(*OWN, *(name for name in OCI if name not in OWN))),
        ("ocishim --runtime runsc d", plain("doctor", "diff", "delete")),
        ("ocishim-runsc d", plain("doctor", "diff", "delete")),
        ("ocishim --runtime ", plain("runc", "crun", "runsc")),
        ("ocishim --runtime=runs", plain("runsc")),
        ("ocishim --runtime /usr/", ["file,/usr/"]),
        ("ocishim --overlay ", plain("auto", "kernel", "fuse")),
        ("ocishim run --runtime r", plain("runc", "runsc")),
        ("ocishim run --overlay f", plain("fuse")),
        ("ocishim run ", plain(*BUNDLES)),
        ("ocishim --runtime runc run --bundle r", plain("read-only")),
        ("ocishim-runc create --bundle ", plain(*BUNDLES)),
        ("ocishim create -b ./h", plain("./hello")),
        ("ocishim restore --bundle h", plain("hello")),
        ("ocishim kill ", []),
        ("ocishim state --bundle ", []),
        ("ocishim plan ", plain(*BUNDLES)),
        ("ocishim plan ../", ["dir,../"]),
        ("ocishim plan /nonexistent/", ["dir,/nonexistent/"]),
        ("ocishim plan --runtime c", plain("crun")),
        ("ocishim doctor --format ", plain("text", "html", "json")),
        ("ocishim doctor --r", plain("--runtime", "--redact")),
        ("ocishim doctor --facts x", ["file,x"]),
        ("ocishim explain OVL-FUS-1", plain("OVL-FUS-10", "OVL-FUS-11", "OVL-FUS-12", "OVL-FUS-13",
                                            "OVL-FUS-14", "OVL-FUS-15", "OVL-FUS-16")),
        ("ocishim explain upp-0", plain(*(f"OVL-UPP-0{at}" for at in range(1, 10)))),
        ("ocishim explain o", plain(*(finding.id for finding in findings.all()))),
        ("ocishim completion ", plain("bash", "zsh", "fish")),
        ("ocishim help d", plain("doctor", "diff")),
        ("ocishim view --", plain("--lower", "--upper", "--read-only", "--on", "--overlay", "--help")),
        ("ocishim view --lower a", ["dir,a"]),
        ("ocishim view --upper a", ["dir,a"]),
        ("ocishim view --overlay k", plain("kernel")),
        ("ocishim diff a", ["dir,a"]),
        ("ocishim diff a --lower b", ["dir,b"]),
        ("ocishim diff a --format ", plain("text", "json")),
    ],
)  # fmt: skip
def test_what_is_offered(offered: Offered, line: str, expected: list[str]) -> None:
    assert offered(line) == expected


@pytest.mark.parametrize(
    ("shell", "first"),
    [("fish", ["plain,OVL-FUS-04\tfuse-overlayfs is not installed"]),
     ("zsh", ["plain", "OVL-FUS-04", "fuse-overlayfs is not installed"])],
)  # fmt: skip
def test_findings_have_their_titles_where_a_shell_shows_them(
    offered: Offered, shell: str, first: list[str]
) -> None:
    assert offered("ocishim explain OVL-FUS-04", shell) == first


def test_in_a_bundle_the_bundle_is_offered_too(
    offered: Offered, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", ".b", "no-bundle"):
        (tmp_path / name).mkdir()
    for bundle in (".", "a", ".b"):
        (tmp_path / bundle / "config.json").touch()
    monkeypatch.chdir(tmp_path)

    assert (offered("ocishim run "), offered("ocishim run .")) == (plain(".", "a"), plain(".b"))


@pytest.mark.parametrize("name", ["a b", "$(id)", "a,b", "*", "a\nplain,b", "é'"])
def test_a_bundle_whose_name_a_shell_would_read_otherwise_is_left_to_the_shell(
    offered: Offered, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").touch()
    monkeypatch.chdir(tmp_path)

    assert offered("ocishim run ") == ["dir,"]


def test_settings_that_are_wrong_do_not_matter(
    offered: Offered, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("?")
    monkeypatch.setenv("OCISHIM_CONFIG", str(tmp_path / "config.toml"))

    assert offered("ocishim --runtime ") == plain("runc", "crun", "runsc")


def test_the_runtimes_are_those_of_the_settings(
    offered: Offered, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('[runtimes.mine]\n[runtimes."a b"]\n')
    monkeypatch.setenv("OCISHIM_CONFIG", str(tmp_path / "config.toml"))

    assert offered("ocishim --runtime ") == plain("mine")


def test_all_commands_of_a_runtime_are_offered() -> None:
    assert set(OCI) == argv.COMMANDS
    assert sorted(OWN) == sorted({*argv.OWN_COMMANDS, "run"})


def test_bash_completes(tmp_path: pathlib.Path) -> None:
    script = """
    source <(ocishim completion bash)
    complete -p ocishim ocishim-runc ocishim-crun ocishim-runsc
    COMP_WORDS=(ocishim-runsc create --bundle "") COMP_CWORD=3
    _ocishim_completion ocishim-runsc --bundle ""
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = f"{OCISHIM.parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=ROOT / "examples/bundles",
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )

    names = ("ocishim", "ocishim-runc", "ocishim-crun", "ocishim-runsc")
    registered = [f"complete -o nosort -F _ocishim_completion {name}" for name in names]
    assert (done.stdout.splitlines(), done.stderr) == ([*registered, *BUNDLES], "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_for_all_names(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert f"_OCISHIM_COMPLETE={shell}_complete" in script
    assert [name for name in ("ocishim", "ocishim-runc", "ocishim-runsc") if name not in script] == []
    assert 'split ","' not in script  # a description may have commas


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("line", ["state x", "--root /r create x", "features", "do completion", "--version"])
def test_the_variable_that_asks_for_completion_does_not_keep_anything_from_the_runtime(
    tmp_path: pathlib.Path, line: str
) -> None:
    program = tmp_path / "runtime"
    program.write_text('#!/bin/sh\necho "$_OCISHIM_COMPLETE" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "config.json").write_text("{}")
    environ = {
        "PATH": os.environ["PATH"],
        "OCISHIM_RUNTIME": str(program),
        "_OCISHIM_COMPLETE": "bash_complete",
    }

    done = subprocess.run(
        [OCISHIM, *line.split()], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )

    assert (done.stdout.splitlines()[-1], done.returncode) == (f"bash_complete {line}", 0)
