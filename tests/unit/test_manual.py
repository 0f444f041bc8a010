"""The man pages: one a command, with all that its --help says, and no roff by accident."""

import pathlib
import sys

import click
import pytest

from ocishim.cli.main import ocishim

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.manual import write


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    return {path.name: path for path in write(tmp_path_factory.mktemp("man"), ocishim, "1.2.3")}


def test_each_command_has_a_page(pages: dict[str, pathlib.Path]) -> None:
    assert [*pages] == ["ocishim.1", *(f"ocishim-{name}.1" for name in ocishim.commands)]


@pytest.mark.parametrize("name", ["", *ocishim.commands])
def test_a_page_says_what_help_says(pages: dict[str, pathlib.Path], name: str) -> None:
    command = ocishim.commands[name] if name else ocishim
    page = pages[f"ocishim-{name}.1" if name else "ocishim.1"].read_text()
    said = " ".join(page.replace("\\-", "-").replace("\\fB", "").replace("\\fP", "").split())

    with click.Context(command, info_name=name, **ocishim.context_settings) as context:
        for param in command.get_params(context):
            record = param.get_help_record(context)
            if record and isinstance(param, click.Option):
                assert f".TP {record[0]} {' '.join(record[1].split())}" in said
    for text in (command.help or "", (command.epilog or "").rpartition("Exit status: ")[2]):
        for paragraph in text.replace("\b\n", "").split("\n\n"):
            assert " ".join(paragraph.split()) in said


@pytest.mark.parametrize("name", ["", *ocishim.commands])
def test_a_page_is_right(pages: dict[str, pathlib.Path], name: str) -> None:
    lines = pages[f"ocishim-{name}.1" if name else "ocishim.1"].read_text().splitlines()

    title = f"ocishim-{name}" if name else "ocishim"
    assert lines[0].startswith(f'.TH "{title.upper()}" "1" ')
    assert lines[0].endswith('"ocishim 1.2.3" "ocishim"')
    macros = {line.split()[0] for line in lines if line[:1] in (".", "'")}
    assert macros <= {".TH", ".nh", ".SH", ".TP", ".PP", ".B", ".br", ".sp", ".nf", ".fi"}
    assert [line for line in lines if "\b" in line] == []
    in_name = lines[lines.index(".SH NAME") + 1]
    assert in_name.startswith(f"{title} \\- ")
    assert len(in_name) < 80


def test_what_roff_would_read_is_protected(tmp_path: pathlib.Path) -> None:
    @click.group(name="x", help=".SH no\n\n\b\n'bad \\n\n.x", epilog="Exit status: 'x")
    def group() -> None: ...

    [page] = write(tmp_path, group, "1")

    shown = page.read_text().splitlines()
    at = shown.index(".SH DESCRIPTION")
    assert shown[at + 1 : at + 7] == ["\\&.SH no", ".sp", ".nf", "\\&'bad \\en", "\\&.x", ".fi"]
    assert "\\&'x" in shown
