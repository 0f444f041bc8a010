"""`ocishim explain`: the list, a page, the search, and its errors; by the real command line."""

import json

import pytest

from ocishim import findings, shim
from ocishim.cli import explain as module


class Done:
    """What a command line came to: exit status, stdout, stderr."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Explain":
    return Explain(monkeypatch, capsys)


class Explain:
    """Run `ocishim explain` with some words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *words: str) -> Done:
        self.monkeypatch.setattr("sys.argv", ["ocishim", "explain", *words])
        status = shim.main()
        captured = self.capsys.readouterr()
        return Done(status, captured.out, captured.err)


def test_without_an_id_all_are_listed(explain: Explain) -> None:
    done = explain()

    rows = [line.split()[:2] for line in done.out.splitlines() if line.startswith("  OVL-")]
    assert rows == [[finding.id, finding.severity] for finding in findings.all()]
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(
        "KRN: Kernel, module, privilege\n  OVL-KRN-01  refuse  the kernel has no overlay"
    )


def test_a_page(explain: Explain) -> None:
    done = explain("opt-11")

    assert (done.status, done.err) == (0, "")
    assert done.out == (
        "OVL-OPT-11  refuse  workdir and upperdir lie in each other\n"
        "\n"
        "Applies   workdir below upperdir, upperdir below workdir, or both the same\n"
        "          directory\n"
        "Message   {role}={path} {value} {other}\n"
        "\n"
        "Cause     What overlayfs keeps in workdir would be seen in the overlay if it lay\n"
        "          in upperdir, and the kernel cleans workdir at each mount, which would\n"
        "          delete upperdir if that lay in it. So both must be separate trees.\n"
        "\n"
        "Detected  ocishim resolves both paths and compares them and their inodes.\n"
        "          Otherwise mount(2) answers EINVAL.\n"
        "\n"
        "Remedy    make them siblings\n"
        "    mkdir -p /srv/c1/u /srv/c1/w\n"
        "\n"
        "Kernels   all\n"
        "Errno     EINVAL\n"
        "Known by  workdir and upperdir must be separate subtrees\n"
        "See       fs/overlayfs/super.c: ovl_workdir_ok()\n"
        "          containers/fuse-overlayfs #365\n"
    )


def test_no_line_in_a_pipe_is_longer_than_80_columns_or_coloured(explain: Explain) -> None:
    words = [(), ("--errno", "22"), ("--text", "overlayfs: maximum fs stacking depth exceeded")]
    lines = [line for each in words for line in explain(*each).out.splitlines()]
    for finding in findings.all():
        lines += explain(finding.id).out.splitlines()

    assert [line for line in lines if len(line) > 80 or "\x1b" in line or line != line.rstrip()] == []


def test_a_terminal_gets_colour_and_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")

    lines = module._page(findings.get("OVL-OPT-11"))

    assert lines[0].startswith("\x1b[1mOVL-OPT-11\x1b[0m  \x1b[31mrefuse\x1b[0m  \x1b[1m")
    assert "          both the same directory" in lines


@pytest.mark.parametrize(
    ("id_", "message"),
    [
        ("OVL-UPP-99", "OVL-UPP-99: no such finding; near: OVL-UPP-09"),
        ("OVL-UPQ-01", "OVL-UPQ-01: no such finding; near: OVL-UPP-01"),
        ("upp", "upp: no such finding; near: OVL-UPP-"),
        ("nonsense", "nonsense: no such finding; ocishim explain lists all\n"),
        ("OVL-OPT-21", "OVL-OPT-21: no such finding; near: OVL-OPT-2"),
    ],
)
def test_an_unknown_id_is_one_line_that_names_near_ones(explain: Explain, id_: str, message: str) -> None:
    done = explain(id_)

    assert done.err.startswith(f"ocishim: {message}")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--errno", "EGGS"], "--errno EGGS: no such errno; e.g. EINVAL or 22"),
        (["UPP-01", "--errno", "22"], "UPP-01: an id needs neither --errno nor --text"),
        (["--text"], "option '--text' requires an argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(explain: Explain, words: list[str], message: str) -> None:
    done = explain(*words)

    assert (done.status, done.out) == (2, "")
    assert done.err == f"ocishim: {message}\n"


def test_an_unknown_option_is_one_line(explain: Explain) -> None:
    done = explain("--nonsense")

    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("ocishim: no such option")


@pytest.mark.parametrize("errno", ["ESTALE", "estale", "116"])
def test_an_errno_by_name_and_number(explain: Explain, errno: str) -> None:
    done = explain("--errno", errno)

    assert done.status == 0
    assert done.out.startswith(
        "4 findings have this errno; the line of dmesg as --text tells which:\n\n  OVL-OPT-15"
    )


def test_a_message_gives_the_page_and_what_else_it_may_be(explain: Explain) -> None:
    done = explain("--text", "overlayfs: maximum fs stacking depth exceeded")

    assert done.status == 0
    assert done.out.startswith("OVL-KRN-08  refuse  file systems are stacked too deep\n")
    assert [line.split()[0] for line in done.out.partition("Also possible:\n")[2].splitlines()] == [
        "OVL-KRN-09",
        "OVL-LOW-23",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", "all is\nwell"], "--text all is well: no finding fits; ocishim explain lists all\n"),
        (["--errno", "EPIPE"], "--errno EPIPE: no finding fits; ocishim explain lists all\n"),
        (["--text", ""], "nothing asked for: no finding fits; ocishim explain lists all\n"),
        (["--text", "\x1b[2J"], "--text \\x1b[2J: no finding fits; ocishim explain lists all\n"),
    ],
)
def test_what_nothing_fits_is_said_so(explain: Explain, words: list[str], message: str) -> None:
    done = explain(*words)

    assert (1, "", f"ocishim: {message}") == (done.status, done.out, done.err)


def test_json_of_one(explain: Explain) -> None:
    done = explain("OVL-UPP-14", "--format", "json")

    found = json.loads(done.out)
    assert list(found) == list(findings.Finding.__slots__)
    assert (found["id"], found["errno"]) == ("OVL-UPP-14", ["EINVAL", "EROFS"])


def test_json_of_all_and_of_a_search(explain: Explain) -> None:
    everything = json.loads(explain("--format=json").out)
    some = json.loads(explain("--errno", "ESTALE", "--format", "json").out)

    assert [entry["id"] for entry in everything] == [finding.id for finding in findings.all()]
    assert [entry["id"] for entry in some] == ["OVL-OPT-15", "OVL-LOW-06", "OVL-LOW-24", "OVL-LOW-13"]


def test_help_names_the_options(explain: Explain) -> None:
    done = explain("--help")

    assert done.status == 0
    assert "--errno NAME|NUMBER" in done.out
