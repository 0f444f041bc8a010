"""`ocishim doctor --facts FILE`: its text, its JSON, its exit status."""

import json
import pathlib

import pytest
from harness import ROOT
from unit.test_doctor import RECORDED, changed, judged

from ocishim.cli.main import main


@pytest.mark.parametrize("name", RECORDED)
def test_the_text_fits_a_terminal_and_has_no_colours_in_a_pipe(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["doctor", "--facts", str(ROOT / f"tests/unit/facts/{name}.json")])

    out = capsys.readouterr().out
    assert status == judged(RECORDED[name]).status
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    is_bundle = RECORDED[name]["bundle"] is not None
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        "Kernel", "Overlayfs", "User namespaces", "FUSE", "Runtimes",
        *(["mounts[0] on /data", "mounts[1] on /lower"] if is_bundle else []),
        "Overlays",
        *(["Bundle /srv/bundle"] if is_bundle else []),
    ]  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_facts_go_round(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--format", "json", "--facts", str(ROOT / f"tests/unit/facts/{name}.json")])

    assert json.loads(capsys.readouterr().out) == RECORDED[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "facts is list, which is not what it should be"),
        ("{}", "facts.ocishim is missing"),
        (json.dumps(changed("6.18", x=1)), "facts.x is not known to this release"),
        (json.dumps(changed("6.18", process__uid=True)), "facts.process.uid is bool, which is not what"),
        (json.dumps(changed("6.18", trials=[1])), "facts.trials[0] is int, which is not what"),
        (json.dumps(changed("6.18", userns__by_xattr=0)), "facts.userns.by_xattr is int, which is not"),
    ],
)
def test_what_are_no_facts_is_wrong_usage(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "facts.json"
    file.write_text(text)

    status = main(["doctor", "--facts", str(file)])

    assert status == 2
    assert capsys.readouterr().err.startswith(f"ocishim: --facts {file}: {message}")


@pytest.mark.parametrize("line", ["--facts /nonexistent", "--format xml", "--bogus", "bundle"])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert main(["doctor", *line.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1
