"""What each way through ocishim loads before it becomes the runtime: it may cost an interpreter start."""

import pathlib

import harness
import pytest
from spy import loaded

PASSING = {
    "ocishim",
    "ocishim.argv",
    "ocishim.errors",
    "ocishim.initial",
    "ocishim.runtime",
    "ocishim.settings",
    "ocishim.shim",
    "errno",
}
WITH_SETTINGS = PASSING | {"ocishim.tomltext"}
CREATING = WITH_SETTINGS | {
    "_json", "gc", "ocishim.bundle", "ocishim.container", "ocishim.jsontext", "ocishim.options",
    "ocishim.overlay",
}  # fmt: skip
#: What makes an interpreter slow to start; no allow-list may come to hold one of them (measured in STYLE.md).
HEAVY = {
    "click", "dataclasses", "enum", "importlib.metadata", "json", "jsonschema", "logging", "pathlib", "re",
    "subprocess", "tomllib", "typing",
}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "state x",
        "--root /r --log /l --log-format json start x",
        "kill x 9",
        "exec -t x sh",
        "features",
        "--version",
        "create --help",
        "do x",
    ],
)
def test_a_command_that_needs_no_work_loads_what_reads_it(tmp_path: pathlib.Path, line: str) -> None:
    settings = '[runtimes.runtime]\npath = "/x"\nargs = ["-a", "-b"]\nkind = "runc"\nexclusive = false\n'

    found = loaded(tmp_path, settings, *line.split())

    assert found == WITH_SETTINGS


def test_without_settings_nothing_is_loaded_to_read_them(tmp_path: pathlib.Path) -> None:
    found = loaded(tmp_path, None, "state", "x")

    assert found == PASSING


@pytest.mark.parametrize("command", ["create", "run", "restore"])
def test_a_container_without_an_overlay_needs_no_more_than_its_spec_read(
    tmp_path: pathlib.Path, command: str
) -> None:
    bundle = harness.Bundle(tmp_path / "bundle")

    found = loaded(tmp_path, "", command, "--bundle", bundle.path, "x")

    assert found == CREATING


def test_what_is_slow_to_import_is_nowhere_allowed() -> None:
    assert set() == HEAVY & CREATING
