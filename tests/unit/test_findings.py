"""The catalogue: its form, and which finding a message of a kernel leads to."""

import json
import pathlib
import re
import tomllib
from typing import Any

import jsonschema
import pytest
from harness import ROOT

from ocishim import findings

FILES = sorted((ROOT / "ocishim/findings").glob("*.toml"))
SCHEMA = json.loads((ROOT / "schemas/finding.schema.json").read_text())
#: Cases of the seed catalogue that nobody can detect or explain. Their ids stay unused.
GIVEN_UP = {"OVL-KRN-16", "OVL-LOW-11", "OVL-OPT-21"}


def read(path: pathlib.Path) -> dict[str, Any]:
    """Give one file of findings as it is."""
    return tomllib.loads(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_valid(path: pathlib.Path) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)

    problems = [
        f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(read(path))
    ]

    assert problems == []


@pytest.mark.parametrize("change", ["errno", "severity", "title", "message", "id"])
def test_the_schema_refuses_what_is_wrong(change: str) -> None:
    content = {"OVL-UPP-14": dict(read(ROOT / "ocishim/findings/upp.toml")["OVL-UPP-14"])}
    entry = content["OVL-UPP-14"]
    wrong = {"errno": ["22"], "severity": "fatal", "title": "It is.", "message": "{path}: Permission denied"}
    if change == "id":
        content["UPP-14"] = content.pop("OVL-UPP-14")
    else:
        entry[change] = wrong[change]

    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(content)


def test_there_is_a_file_for_each_area() -> None:
    assert sorted(findings.AREAS) == [path.stem.upper() for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_ids_of_a_file_are_of_its_area_and_numbered_on(path: pathlib.Path) -> None:
    ids = list(read(path))
    numbers = range(1, int(ids[-1][-2:]) + 1)

    assert [id_ for n in numbers if (id_ := f"OVL-{path.stem.upper()}-{n:02}") not in GIVEN_UP] == ids


def test_all_gives_every_entry_once() -> None:
    in_files = [
        id_ for area in findings.AREAS for id_ in read(ROOT / f"ocishim/findings/{area.lower()}.toml")
    ]

    assert in_files == [finding.id for finding in findings.all()]
    assert len(set(in_files)) == len(in_files)


def test_the_placeholders_of_messages_are_known() -> None:
    used = {name for finding in findings.all() for name in re.findall(r"\{(.*?)\}", finding.message)}

    assert used == findings.PLACEHOLDERS


def test_a_message_can_be_filled_in() -> None:
    values = dict.fromkeys(findings.PLACEHOLDERS, "x")

    assert [
        finding.id for finding in findings.all() if re.search("[{}]", finding.message.format(**values))
    ] == []


def test_texts_hold_no_words_that_podman_rewrites() -> None:
    words = re.compile("no such file or directory|permission denied|operation not permitted", re.IGNORECASE)

    found = [
        finding.id
        for finding in findings.all()
        if words.search(finding.message + finding.title + finding.remedy + finding.applies)
    ]

    assert found == []


def test_errnos_are_names_of_this_system() -> None:
    names = {name for finding in findings.all() for name in finding.errno}

    assert {name for name in names if findings.errno_name(name) != name} == set()


def test_references_between_findings_exist() -> None:
    text = "".join(path.read_text() for path in FILES)
    known = {finding.id for finding in findings.all()}

    assert set(re.findall(r"OVL-[A-Z]{3}-\d\d", text)) - known == set()


@pytest.mark.parametrize("id_", ["OVL-UPP-01", "ovl-upp-01", "UPP-01", "upp-1", " OVL-UPP-01 "])
def test_an_id_may_be_written_short(id_: str) -> None:
    assert findings.get(id_).id == "OVL-UPP-01"


def test_an_unknown_id_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        findings.get("OVL-UPP-99")
