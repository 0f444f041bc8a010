"""`ocishim diff`: what an entry of an upper layer means, and what the command says of wrong usage."""

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
from harness import ROOT

from ocishim.cli.main import main
from ocishim.diff import Below, Change, Entry, classify

OPAQUE = "opaque: everything below it in lower layers is hidden"
METACOPY = "metadata only: its content is a lower layer's"
NO_DATA = "metadata only, and no lower layer has its content"
FILE = Entry("a", "file")
COPIED = Entry("a", "file", has_origin=True)
WHITEOUT = Entry("a", "device", is_whiteout=True)
DIRECTORY = Entry("a", "directory", 0o755)
COPIED_DIRECTORY = Entry("a", "directory", 0o755, has_origin=True)
OPAQUE_DIRECTORY = Entry("a", "directory", 0o755, is_opaque=True)
RENAMED = Entry("a", "directory", 0o755, has_origin=True, redirect="b/c")


@dataclasses.dataclass
class Line:
    """A change, for comparison."""

    what: str
    kind: str
    old: str = ""
    why: str = ""


def line(change: Change | None) -> Line | None:
    return Line(change.what, change.kind, change.old, change.why) if change else None


@pytest.mark.parametrize(
    ("entry", "below", "expected"),
    [
        (FILE, None, Line("added", "file")),
        (COPIED, None, Line("added", "file")),  # its lower file is gone, or this is another lower layer
        (FILE, Below("file"), Line("changed", "file")),
        (FILE, Below("directory"), Line("changed", "file")),
        (WHITEOUT, Below("link"), Line("deleted", "link")),
        (WHITEOUT, None, None),
        (DIRECTORY, None, Line("added", "directory")),
        (OPAQUE_DIRECTORY, None, Line("added", "directory")),
        (DIRECTORY, Below("file"), Line("changed", "directory")),
        (DIRECTORY, Below("directory", 0o755), None),
        (DIRECTORY, Below("directory", 0o700), Line("changed", "directory")),
        (OPAQUE_DIRECTORY, Below("directory", 0o755), Line("changed", "directory", why="replaced")),
        (
            Entry("a", "directory", 0o755, is_replaced=True),
            Below("directory", 0o755),
            Line("changed", "directory", why="replaced"),
        ),
        (RENAMED, Below("directory", 0o755), Line("renamed", "directory", "b/c")),
        (Entry("a", "file", is_metacopy=True), Below("file"), Line("changed", "file", why=METACOPY)),
        (Entry("a", "file", is_metacopy=True), None, Line("unknown", "file", why=NO_DATA)),
        (
            Entry("a", "file", is_metacopy=True, redirect="b"),
            Below("file"),
            Line("renamed", "file", "b", METACOPY),
        ),
    ],
)
def test_beside_its_lower_layers(entry: Entry, below: Below | None, expected: Line | None) -> None:
    assert line(classify(entry, below, True)) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (FILE, Line("added", "file")),
        (COPIED, Line("changed", "file")),
        (WHITEOUT, Line("deleted", "unknown")),
        (DIRECTORY, Line("added", "directory")),
        (COPIED_DIRECTORY, None),
        (OPAQUE_DIRECTORY, Line("added", "directory", why=OPAQUE)),
        (
            Entry("a", "directory", has_origin=True, is_opaque=True),
            Line("changed", "directory", why=OPAQUE),
        ),
        (RENAMED, Line("renamed", "directory", "b/c")),
        (Entry("a", "file", is_metacopy=True), Line("changed", "file", why=METACOPY)),
    ],
)
def test_without_its_lower_layers(entry: Entry, expected: Line | None) -> None:
    assert line(classify(entry, None, False)) == expected


SCHEMA = json.loads((ROOT / "schemas/diff.schema.json").read_text())


def _document(**change: object) -> dict[str, Any]:
    return {"upper": "/u", "lower": None, "changes": [{"path": "a", "type": "file", **change}]}


@pytest.mark.parametrize(
    ("document", "is_valid"),
    [
        (_document(change="added"), True),
        (_document(change="added", **{"from": "b"}), False),
        (_document(change="renamed", **{"from": "b"}), True),
        (_document(change="renamed"), False),
        (_document(change="unknown"), False),
        (_document(change="unknown", why="x"), True),
        (_document(change="A"), False),
        (_document(change="added", path="/a"), False),
        (_document(change="added", type="pipe"), False),
        ({**_document(change="added"), "lower": []}, False),
        ({**_document(change="added"), "lower": ["/l"]}, True),
    ],
)
def test_the_schema(document: dict[str, Any], is_valid: bool) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(document) == is_valid


FORM = "invalid value for '--format': 'xml' is not one of 'text', 'json'"
MODE = "invalid value for '--overlay': 'no' is not one of 'auto', 'kernel', 'fuse'"
WRITE = "write DIR:DIR, and \\: in a name"
ORDER = f"--lower a::b:c: a lower layer cannot follow a data-only one: only :: may; {WRITE}"
COLON = f"--lower a:: the list ends with a colon; {WRITE}"
BOTH = "--read-only: a view with --upper can be written to; leave out one of the two"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("diff", "missing argument 'UPPER'"),
        ("diff /dev/null", "UPPER /dev/null: is not a directory"),
        ("diff / --lower /:nowhere", "--lower nowhere: does not exist"),
        ("diff / --format xml", FORM),
        ("diff / --lower a::b:c", ORDER),
        ("view -- true", "missing option '--lower'"),
        ("view --lower /", "missing argument '[--] COMMAND…'"),
        ("view --lower a: -- true", COLON),
        ("view --lower a::b --lower c -- true", "--lower c: a lower layer cannot follow a data-only one"),
        ("view --lower a --upper b --read-only -- true", BOTH),
        ("view --lower a --overlay no -- true", MODE),
        ("unshare --map-root", "no such option '--map-root'"),
    ],
)
def test_wrong_usage_is_one_line(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(words.split()), capsys.readouterr()) == (2, ("", f"ocishim: {said}\n"))
