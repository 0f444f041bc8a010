"""Refusals in the catalogue's words: each page that the code names exists, and can be filled in."""

import pathlib
import re

import pytest
from harness import ROOT

from ocishim import findings, refusal
from ocishim.errors import SpecError

CODE = sorted((ROOT / "ocishim").rglob("*.py"))


def test_a_refusal_has_the_findings_message_remedy_and_page() -> None:
    error = refusal.of("OVL-OPT-20", "mounts[2]", option="xino=on")

    assert (type(error), error.args) == (
        SpecError,
        (
            "mounts[2]",
            "xino=on, which fuse-overlayfs cannot do",
            "take --overlay kernel, or remove it",
            "OVL-OPT-20",
        ),
    )


@pytest.mark.parametrize("path", ["/a{role}", "/a{", "/{0}", "/%s"])
def test_braces_in_a_value_stay_as_they_are(path: str) -> None:
    error = refusal.of("OVL-UPP-14", "mounts[2]", role="upperdir", path=path)

    assert error.why == f"upperdir={path} is on a read-only mount"


def test_a_place_that_is_not_filled_in_is_a_bug() -> None:
    with pytest.raises(KeyError):
        refusal.of("OVL-UPP-14", "mounts[2]", role="upperdir")


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pages_that_the_code_names_exist(path: pathlib.Path) -> None:
    named = set(re.findall(r"\bOVL-[A-Z]{3}-\d\d\b", path.read_text()))

    assert named - {finding.id for finding in findings.all()} == set()
