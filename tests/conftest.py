"""Fixtures that tests of all layers share."""

import pathlib
from collections.abc import Iterator

import pytest
from harness import Bundle, Host


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """Run commands; afterwards nothing of them may be left on the host."""
    host = Host(tmp_path)
    yield host
    host.end()
    assert host.wait_until_nothing_is_left() == []


@pytest.fixture
def bundle(tmp_path: pathlib.Path) -> Bundle:
    """Make a bundle."""
    return Bundle(tmp_path / "bundle")
